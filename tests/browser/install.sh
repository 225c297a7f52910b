#!/bin/sh
# Sees to it that there is a browser for tests/browser: one that is here, else Debian's package, else Playwright's.
# Usage: install.sh PYTHON
python=$1

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1 && "$name" --version >/dev/null 2>&1; then exit 0; fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium &&
        chromium --version; then exit 0; fi
fi

if "$python" -m playwright install chromium; then exit 0; fi

if [ "${CI:-}" = true ]; then
    echo "tests/browser: no Chromium could be installed, and CI=true does not let its tests be skipped." >&2
    exit 1
fi
echo "tests/browser: no Chromium could be installed: its tests will be skipped." >&2
