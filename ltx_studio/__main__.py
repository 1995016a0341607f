"""`ltx-studio` and `python -m ltx_studio`: a verb runs on the command line, no verb or a project opens the studio.

`--fake-engine` opens it with an engine that needs no model and plays stories (`ltx_studio.services.fake_engine`).
"""

import os
import sys
from typing import Final

from ltx_studio.domain.project_place import project_at

FAKE_ENGINE: Final = "--fake-engine"


def main() -> int:
    # Read by torch's thread library when it is loaded. Its threads wait by spinning unless told otherwise, and where
    # any other program uses the processor, spinning made clips take three times as long (14.0 against 4.8 s).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.argv[1:] in ([], [FAKE_ENGINE]):
        from ltx_studio.app import main as open_studio  # noqa: PLC0415 - the command line does not need the studio

        return open_studio(has_fake_engine=sys.argv[1:] == [FAKE_ENGINE])
    project = project_at(sys.argv[1]) if len(sys.argv) == 2 else None
    if project is not None:
        from ltx_studio.app import main as open_studio  # noqa: PLC0415

        return open_studio(project=project)
    from ltx_studio.cli import run_command_line  # noqa: PLC0415 - nor the studio the command line

    return run_command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
