"""
Whoever asked for it is told that a discovery has ended, by a signed request (standardwebhooks.com).

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA-256 over ``<webhook-id>.<webhook-timestamp>.<body>`` under
the service's ``webhook_secret`` (behind ``whsec_``, base64 of the key; else the key itself). What is sent names the
discovery and how it ended, not what it found. A notice is tried several times by the worker that ran the discovery, and
is lost with it: who must know asks too.
"""

from __future__ import annotations

import base64
import hmac
import time
from datetime import UTC, datetime
from hashlib import sha256

from pydantic_core import to_json

from ..cluster.catalog import Job
from ..cluster.observability.logs import log
from ..cluster.outbound import DeliveryError, Outbound
from ..cluster.settings import ServiceSettings
from ..discovery.errors import InputError
from .problems import ProblemError

_ENCODED = "whsec_"

logger = log("webhook")


async def check_webhook(settings: ServiceSettings, address: str) -> None:
    """
    Say whether notices may go to an address.

    Raises:
        ProblemError: 422, they may not, or the service has no secret to sign them with.
    """
    if settings.webhook_secret is None:
        hint = "the operator sets QBITEL_WEBHOOK_SECRET, and tells receivers"
        raise ProblemError(422, "query.webhook: this service has no secret to sign with", code="webhook", hint=hint)
    try:
        await Outbound(settings.webhook_allow).check(address)
    except InputError as error:
        raise ProblemError(422, f"query.webhook: {error.what}", code="webhook", hint=error.hint) from None


def signed(secret: str, notice: str, body: bytes, now: int) -> dict[str, str]:
    """Return the headers that a notice is sent with; ``now`` is in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(_ENCODED)) if secret.startswith(_ENCODED) else secret.encode()
    seal = hmac.new(key, f"{notice}.{now}.".encode() + body, sha256).digest()
    signature = f"v1,{base64.b64encode(seal).decode()}"
    return {
        "Content-Type": "application/json", "User-Agent": "qbitel", "webhook-id": notice, "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }  # fmt: skip


async def notify(job: Job, settings: ServiceSettings, outbound: Outbound | None = None) -> None:
    """Send the notice of an ended discovery where one was asked for; where that fails, the log tells."""
    address = job.request.get("webhook")
    if address is None or settings.webhook_secret is None or not job.finished:
        return
    links = {"self": f"/v1/discoveries/{job.id}"}
    ids = [result["id"] for result in job.results if result["id"]]
    data = {"id": job.id, "status": job.status, "protocols": ids, "links": links}
    body = to_json({"type": f"discovery.{job.status}", "timestamp": datetime.now(UTC), "data": data})
    headers = signed(settings.webhook_secret.get_secret_value(), job.id, body, int(time.time()))
    try:
        await (outbound or Outbound(settings.webhook_allow)).post(address, body, headers)
    except (InputError, DeliveryError) as error:
        logger.warning("webhook not delivered", job=job.id, where=error.where, what=error.what)
