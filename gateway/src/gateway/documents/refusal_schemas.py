"""A schema for each set of refusals: the contract's refusal, whose code is one of those that a response can have."""

import copy
from collections.abc import Sequence

from gateway.documents.components import Components, camel
from gateway.documents.refusal_examples import RefusalExample
from gateway.documents.schemas import Json

MAX_CODES_IN_A_NAME = 3


class RefusalSchemas:
    """Adds to ``schemas`` what responses need. Responses with the same refusals share a schema.

    ``base`` names the schema of every refusal of the contract, which these replace; ``code_field`` is its field with a
    code that clients rely on, if there is one: without it, all refusals have the same schema.
    """

    def __init__(self, schemas: Components, base: str, code_field: str | None, prefix: str) -> None:
        self._schemas = schemas
        self._base = schemas.by_name.pop(base)
        self._code_field = code_field
        self._prefix = prefix
        self._kind = base.removeprefix(prefix)

    def reference(self, call: str, status: int, refusals: Sequence[RefusalExample]) -> Json:
        """The schema of these refusals of a call, which have this status.

        It is named after their codes, or after the call and the status: if they are many, or if another call renders
        the same codes otherwise.
        """
        if self._code_field is None:
            return self._schemas.add([self._prefix + self._kind], self._base)
        codes = list(dict.fromkeys(each.codes[0].value for each in refusals))
        names = [camel(call) + self._kind + str(status)]
        if len(codes) <= MAX_CODES_IN_A_NAME:
            names.insert(0, "Or".join(map(camel, codes)) + self._kind)
        wire_codes = list(dict.fromkeys(each.body[self._code_field] for each in refusals))
        schema = copy.deepcopy(self._base)
        code = schema["properties"][self._code_field]
        code.pop("$ref", None)
        code |= {"type": "string", "enum": wire_codes}
        return self._schemas.add([self._prefix + name for name in names], schema)
