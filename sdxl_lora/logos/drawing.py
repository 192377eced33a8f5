"""Draws one SVG to a PNG, in a process of its own with little memory and time: `raster` runs this file.

    python drawing.py SIDE MEMORY CPU < logo.svg > logo.png

SIDE: px, the longer side of the picture; MEMORY: bytes of address space; CPU: seconds. It says what is wrong on stderr
and exits with `CANNOT`. resvg draws no fonts here, and finds no files: there is no resources folder.
"""

import contextlib
import sys

CANNOT = 2  # exit code


def main() -> int:
    side, memory, cpu = (int(word) for word in sys.argv[1:4])
    text = sys.stdin.buffer.read().decode()
    with contextlib.suppress(ImportError):  # Windows has no limits of this kind; the caller's clock is left
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import resvg_py

    try:
        png = resvg_py.svg_to_bytes(svg_string=text, width=side, height=side, skip_system_fonts=True)
    except (ValueError, MemoryError) as error:
        sys.stderr.write(str(error).splitlines()[0] if str(error) else "too large")
        return CANNOT
    sys.stdout.buffer.write(png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
