"""`tokens make NAME`, `tokens list`, `tokens revoke NAME`: who may use the HTTP API."""

import argparse

from sdxl_lora import config
from sdxl_lora.cli import terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in (
        ("make", "make a token; it is printed once and kept nowhere"),
        ("list", "the names of all tokens"),
        ("revoke", "take a token back, at once"),
    ):
        action = actions.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name != "list":
            action.add_argument("name", metavar="NAME", help="of the program or person that has it")
        action.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Raises `InputError`, `StorageError`."""
    from sdxl_lora.api.tokens import Tokens

    tokens = Tokens(config.home())
    match arguments.action:
        case "make":
            secret = tokens.make(arguments.name)
            if arguments.json:
                terminal.print_json({"name": arguments.name, "token": secret})
            else:
                terminal.note("keep it: it is not shown again")
                print(secret)
        case "list":
            known = [{"name": one.name, "created_at": one.created_at} for one in tokens.all()]
            if arguments.json:
                terminal.print_json({"tokens": known})
            else:
                for one in known:
                    print(f"{one['name']}  made {one['created_at']}")
        case "revoke":
            tokens.revoke(arguments.name)
            if arguments.json:
                terminal.print_json({"revoked": arguments.name})
            else:
                terminal.note(f"{arguments.name} is revoked")
    return 0
