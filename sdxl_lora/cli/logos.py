"""`--logo FILE` and `--at PLACE` of the verbs that put logos onto pictures."""

import argparse
from itertools import zip_longest
from pathlib import Path

from sdxl_lora.errors import RequestError
from sdxl_lora.request.logo_spec import EMBROIDERED, LogoSpec

_DEFAULT_PLACE = "chest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One `--at` for each `--logo`, in their order."""
    parser.add_argument(
        "--logo",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="put this logo (SVG, or PNG with alpha) onto the picture, exactly as it is drawn; repeatable",
    )
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="PLACE",
        help="where: POSITION[,WIDTH[,ANGLE]] as chest or left-sleeve,0.5; X,Y,WIDTH[,ANGLE] or four corners X,Y,... in"
        f" shares of the picture; {_DEFAULT_PLACE} unless given. With {EMBROIDERED} at the end (chest,{EMBROIDERED}) it"
        " is sewn: an approximation instead of an exact print",
    )


def chosen(arguments: argparse.Namespace) -> tuple[LogoSpec, ...]:
    """The logos of a request; their files are kept among the inputs. Raises `InputError`, `StorageError`."""
    if len(arguments.at) > len(arguments.logo):
        raise RequestError("there are more --at than --logo; name the logo that each is for")
    if not arguments.logo:
        return ()
    from sdxl_lora.logos import keeping, positions
    from sdxl_lora.logos.raster import Logo

    found = []
    for path, place in zip_longest(arguments.logo, arguments.at, fillvalue=_DEFAULT_PLACE):
        logo = Logo.open(Path(path))
        spec = LogoSpec.parse(str(place), hash=keeping.keep(logo.data, logo.name).hash, name=logo.name)
        positions.check_name(spec.at)
        found.append(spec)
    return tuple(found)
