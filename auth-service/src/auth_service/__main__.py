"""``python -m auth_service``: serve, or run a command of ``command_line``."""

import sys


def main() -> None:
    """Serve if nothing else is asked for, without what the other commands import."""
    if sys.argv[1:] in ([], ["serve"]):
        from auth_service.serving import serve  # noqa: PLC0415  each way imports its own

        serve()
    else:
        from auth_service import command_line  # noqa: PLC0415  as above

        command_line.main()


if __name__ == "__main__":
    main()
