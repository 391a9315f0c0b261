"""Examples of the answers, by the name of their model; OpenAPI shows them, and a test holds them against the models."""

from __future__ import annotations

from typing import Any

from .models import EXAMPLE_ID

_AT, _DIGEST, _JOB = "2026-01-05T09:30:00Z", "9f" * 32, "0b5a6f2c9d3e47a18c5d2e7f90a1b3c4"
_HEALTH = {"status": "ok", "version": "0.1.0"}
_PROTOCOL = {
    "id": EXAMPLE_ID, "protocol": "udp_20547", "digest": _DIGEST, "version": 2, "parent": "3c" * 32, "messages": 8412,
    "stored": _AT, "links": {"self": f"/v1/protocols/{EXAMPLE_ID}"},
}  # fmt: skip
_LISTED = {
    "id": _JOB, "status": "done", "created": _AT, "updated": _AT, "attempts": 1,
    "input": {"name": "plant.pcapng", "bytes": 48_211}, "links": {"self": f"/v1/discoveries/{_JOB}"},
}  # fmt: skip
_STAGE = {
    "name": "statistics",
    "status": "ok",
    "fraction": 1.0,
    "seconds": 0.004,
    "message": "8412 messages",
    "hint": "",
}
_MODEL = {
    "model": "segmenter", "number": 3, "digest": _DIGEST, "registered": _AT, "aliases": ["champion"],
    "metrics": {"boundary_f1": 0.81}, "lineage": {"run": "r42"},
}  # fmt: skip

EXAMPLES: dict[str, dict[str, Any]] = {
    "Discovery": {
        **_LISTED, "progress": {"protocol": "udp_20547", "protocols": 1, "finished": 1, "stages": [_STAGE]},
        "results": [{
            "protocol": "udp_20547", "id": EXAMPLE_ID, "digest": _DIGEST, "partial": [], "notes": [],
            "stages": [_STAGE], "spec": {"protocol": "udp_20547"},
        }],
        "warnings": [], "problem": None,
    },
    "DiscoveryList": {"discoveries": [_LISTED], "next": None},
    "ProtocolDocument": {**_PROTOCOL, "spec": {"protocol": "udp_20547"}},
    "ProtocolList": {"protocols": [_PROTOCOL], "next": None},
    "ProtocolVersions": {"versions": [_PROTOCOL]},
    "ProtocolDiff": {
        "before": _PROTOCOL, "after": _PROTOCOL,
        "changes": [{"kind": "added", "path": "t10.f4", "before": "", "after": "counter uint be 2 B"}],
    },
    "DeletedProtocol": {"id": EXAMPLE_ID, "documents": 2},
    "GrammarDocument": {"id": EXAMPLE_ID, "digest": _DIGEST, "grammar": {"start": "S", "rules": []}, "sequence": {}},
    "ModelList": {"models": [{"model": "segmenter", "versions": 3, "newest": 3, "aliases": {"champion": 3}}]},
    "ModelVersion": _MODEL,
    "ModelVersions": {"versions": [_MODEL], "next": None},
    "Retraining": {
        "run": "retrain-segmenter-0123456789abcdef", "model": "segmenter", "status": "succeeded",
        "version": "segmenter@4", "challenger": True,
        "links": {"self": "/v1/models/segmenter/retrainings/retrain-segmenter-0123456789abcdef"},
    },
    "StreamList": {"streams": [{"name": "plc-7", "shards": 64, "tenant": "", "days": 30.0}]},
    "Digest": {"stream": "plc-7", "window": "all", "digest": _DIGEST, "messages": 8412},
    "StreamStatistics": {
        "stream": "plc-7", "window": "1h", "messages": 2, "payload_bytes": 6, "longest": 3, "distinct": 2,
        "length_quantiles": [3, 3, 3, 3, 3, 3, 3], "directions": [0, 1, 1],
        "offsets": [{
            "offset": 0, "reached": 2, "values": 1, "entropy": 0.0, "printable": 1.0, "commonest": 90,
            "commonest_share": 1.0,
        }],
    },
    "StreamVersions": {"versions": [{
        "number": 1, "id": EXAMPLE_ID, "digest": _DIGEST, "identity": "unknown-1f3a", "messages": 8412, "stored": _AT,
        "since": None, "until": None, "untimed": True, "links": {"protocol": f"/v1/protocols/{EXAMPLE_ID}"},
    }]},
    "StreamEvents": {"events": [{
        "number": 1, "version": 2, "at": _AT, "kind": "grew", "path": "t10.f4 (enum)", "before": "", "after": "0x2a",
        "evidence": {},
    }]},
    "ErasedStream": {
        "stream": "plc-7", "messages": 8412, "segments": 1, "rewritten": 0, "bytes": 91_340, "unread": [],
        "specifications": [], "untimed": 0,
    },
    "Health": _HEALTH,
    "DeepHealth": {**_HEALTH, "components": {"catalog": {
        "status": "ok", "version": "0003", "latency_s": 0.001, "last_error": "", "last_error_s": None, "age_s": 0.4,
        "breaker": "closed", "without": "answers from memory; nothing new is kept",
    }}},
}  # fmt: skip
