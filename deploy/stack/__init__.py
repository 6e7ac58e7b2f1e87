"""The local stack: private servers and every process of the system, started and stopped as one.

``make run`` is ``python -m stack run``. Tests use ``stack.system.Stack`` (see its docstring).
"""
