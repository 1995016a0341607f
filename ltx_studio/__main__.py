"""`ltx-studio` and `python -m ltx_studio`: a verb runs on the command line, no verb opens the studio."""

import sys


def main() -> int:
    from ltx_studio.cli import run_command_line  # noqa: PLC0415 - the studio does not need the command line

    return run_command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
