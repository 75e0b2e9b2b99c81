"""``python -m server --config FILE``: the server without the command line around it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from ext.errors import EngineError
from server.app import serve
from server.config import ConfigError, load


def main() -> int:
    """Serve. Returns the exit status: 0 drained, 1 could not start, 2 settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m server")
    parser.add_argument("--config", type=Path, help="settings as TOML")
    parser.add_argument("--clock", default="", help="file:PATH, for test directories only")
    arguments = parser.parse_args()
    overrides = {"data": {"clock": arguments.clock}} if arguments.clock else {}
    try:
        settings = load(arguments.config, overrides=overrides)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        asyncio.run(serve(settings))
    except (EngineError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
