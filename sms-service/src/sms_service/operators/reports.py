"""Reports for operators, with the number in clear or masked."""

from shared.internal_api.operators.codes import ExplainCodes, Explained
from shared.phone import mask
from sms_service.explain.explain import Explainer


class OperatorReports:
    """Makes reports for named operators, whose requests are in the audit log."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer

    async def explain(self, request: ExplainCodes) -> Explained:
        """The report of a number, a verification or a message. Raises ``NOT_FOUND`` for an unknown id."""
        subject = request.phone or request.verification_id or request.message_id
        assert subject is not None  # noqa: S101  the request has exactly one
        report = await self._explainer.explain(subject, request.days)
        if request.phone is not None and not request.sees_numbers:
            report = report.model_copy(update={"number": mask(request.phone)})
        return Explained(report=report.model_dump(mode="json"))
