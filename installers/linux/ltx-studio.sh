#!/bin/sh
# Starts LTX Studio with the Python that came with it, else with the system's (3.11 or newer), else with one that uv
# fetches. Everything after that is start.py's business.

here=$(dirname "$(readlink -f "$0")")

# A folder `data` beside this file keeps everything in it: settings, models, projects. See README.txt.
if [ -z "${LTX_STUDIO_HOME:-}" ] && [ -d "$here/data" ] && [ -w "$here/data" ]; then
    LTX_STUDIO_HOME="$here/data"
    export LTX_STUDIO_HOME
fi

# Settings of other Pythons on this machine must not reach ours.
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX
PYTHONNOUSERSITE=1
export PYTHONNOUSERSITE

for python in "$here/kit/python/bin/python3.11" python3.11 python3 python3.12 python3.13 python3.14; do
    if "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$python" -I "$here/start.py" "$@"
    fi
done

echo "ltx-studio: no Python 3.11 or newer is installed; fetching one." >&2
if "$here/kit/bin/uv" --quiet python install --no-bin 3.11; then
    exec "$here/kit/bin/uv" run --quiet --no-project --no-config --managed-python --python 3.11 \
        python -I "$here/start.py" "$@"
fi

words="LTX Studio needs Python 3.11 or newer, and none could be fetched. Install it with your system's package manager \
(package python3), then start LTX Studio again."
echo "ltx-studio: $words" >&2
for dialog in "zenity --error --no-markup --text" "kdialog --error" "xmessage -center" "notify-send"; do
    if [ $# -eq 0 ] && command -v "${dialog%% *}" >/dev/null 2>&1; then
        $dialog "$words"
        break
    fi
done
exit 1
