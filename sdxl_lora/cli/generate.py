"""`generate PROMPT`: pictures from a prompt or a template, recorded like those of the studio."""

import argparse
from typing import TYPE_CHECKING

from sdxl_lora import prompts
from sdxl_lora.cli import logos, making, terminal
from sdxl_lora.errors import PromptError
from sdxl_lora.prompts import translation
from sdxl_lora.request import MAX_COUNT, GenerationRequest, expansion, flags, schema, templated

if TYPE_CHECKING:
    from sdxl_lora.scoring.limits import Limits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defaults come from `SDXL_LORA_<FLAG>` in the environment, then from the model."""
    add = parser.add_argument
    add("prompt", nargs="?", default="", metavar="PROMPT", help="what to draw; with --template: words to add")
    add("--template", metavar="NAME", help=f"fill a template: {', '.join(prompts.templates())}")
    flags.add(parser)
    logos.add_arguments(parser)
    making.add_arguments(parser)
    add("--schema", action="store_true", help="print the JSON schema of a request, and make nothing")


def run(arguments: argparse.Namespace) -> int:
    """Makes, records and names the pictures. Raises `InputError`, `ModelUnavailableError`, `StorageError`."""
    if arguments.schema:
        terminal.print_json(schema.json_schema())
        return 0
    request = build_request(arguments)
    met = _limits(request)
    for line in dict.fromkeys(line for one in met.values() for line in one.lines()):
        terminal.note(line)
    said = [{"prompt": prompt, **one.to_dict(), "lines": one.lines()} for prompt, one in met.items()]
    making.make(arguments, request, limits=said)
    return 0


def _limits(request: GenerationRequest) -> "dict[str, Limits]":
    """Prompt -> what of it the model cannot draw, for those that ask for something of the kind."""
    from sdxl_lora.models import registry
    from sdxl_lora.scoring import limits

    variants = expansion.expand(request)
    if variants.count > MAX_COUNT:  # refused in a moment
        return {}
    model = registry.resolve_auto() if request.model == "auto" else request.model
    found = {one.prompt: limits.of(model, one.prompt, dict(one.slots)) for one in variants}
    return {prompt: one for prompt, one in found.items() if one}


def build_request(arguments: argparse.Namespace) -> GenerationRequest:
    """The request these arguments describe. Raises `PromptError`, `RequestError`."""
    values = flags.values(arguments)
    slots, negative = dict(values.pop("slots")), values.pop("negative_prompt", None)
    if arguments.template is None and slots:
        raise PromptError("--set fills slots of a template; name it with --template")
    if arguments.template == "":
        raise PromptError("--template has no name; leave it out, or name one")
    for name, english in translation.of_fields(slots).items():
        terminal.note(f"{name}: {slots[name]} → {english}")
        slots[name] = english
    filled = templated.fields(arguments.template or "", slots, arguments.prompt, negative)
    return GenerationRequest(**filled, logos=logos.chosen(arguments), **values)
