#!/bin/sh
# The program of LTX Studio.app: starts the studio with the Python inside the bundle, else with one that uv fetches into
# the user's own folder. /usr/bin/python3 is never used: without Apple's developer tools it only asks for them.

resources=$(cd "$(dirname "$0")/../Resources" && pwd -P)

unset PYTHONHOME PYTHONPATH PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX
PYTHONNOUSERSITE=1
PYTHONDONTWRITEBYTECODE=1 # a file more inside the bundle would break its signature
export PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE

python="$resources/kit/python/bin/python3.11"
if [ ! -x "$python" ]; then
    home="${LTX_STUDIO_HOME:-$HOME/Library/Application Support/ltx-studio}/installation/python"
    python=$(ls -d "$home"/cpython-3.11*/bin/python3.11 2>/dev/null | head -n 1)
    if [ -z "$python" ]; then
        osascript -e 'display notification "Fetching Python (25 MB), once" with title "LTX Studio"' 2>/dev/null
        "$resources/kit/bin/uv" --quiet --no-config python install --no-bin --install-dir "$home" 3.11
        python=$(ls -d "$home"/cpython-3.11*/bin/python3.11 2>/dev/null | head -n 1)
    fi
fi
if [ -z "$python" ] || [ ! -x "$python" ]; then
    words="Python could not be fetched. Check the network, then open LTX Studio again, or use an offline pack."
    echo "ltx-studio: $words" >&2
    osascript -e "display alert \"LTX Studio\" message \"$words\" as critical" 2>/dev/null
    exit 1
fi
exec "$python" -I "$resources/start.py" "$@"
