"""What a developer types: ``python -m stack run``, ``exec`` and ``clean``."""
