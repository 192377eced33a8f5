"""What is told without drawing: models, health, measures, the OpenAPI document."""

from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from sdxl_lora.api import schemas
from sdxl_lora.api.endpoints import Answer, Call, Endpoint, json_answer
from sdxl_lora.api.measures import MEDIA_TYPE
from sdxl_lora.api.problems import Problem
from sdxl_lora.errors import UnknownNameError
from sdxl_lora.models.registry import ModelInfo

_HEALTH = schemas.thing({"status": schemas.one_of("ok")})


def endpoints() -> list[Endpoint]:
    """What this module answers."""
    return [
        Endpoint(
            method="GET",
            path="/v1/models",
            run=_models,
            summary="The models that may be named, the one that draws where none is named first",
            answers={200: json_answer("Models.", schemas.MODELS)},
        ),
        Endpoint(
            method="GET",
            path="/v1/models/{id}",
            run=_model,
            summary="One model",
            answers={200: json_answer("The model.", schemas.MODEL)},
        ),
        Endpoint(
            method="GET",
            path="/healthz",
            run=_health,
            summary="Whether pictures can be made and kept; 503 says why not",
            answers={200: json_answer("All is well.", _HEALTH)},
            public=True,
        ),
        Endpoint(
            method="GET",
            path="/metrics",
            run=_measures,
            summary="Numbers for Prometheus",
            answers={
                200: Answer(
                    says="Prometheus text.", content={MEDIA_TYPE.partition(";")[0]: {"type": "string"}}
                )
            },
        ),
    ]


async def _models(call: Call) -> Response:
    found = await to_thread.run_sync(call.service.library.models)
    return JSONResponse({"object": "list", "data": [_described(*entry) for entry in found.items()]})


async def _model(call: Call) -> Response:
    name = call.request.path_params["id"]
    found = await to_thread.run_sync(call.service.library.models)
    if name not in found:
        raise Problem(
            404, str(UnknownNameError("model", name[:60], found)), code="model_not_found", param="model"
        )
    return JSONResponse(_described(name, found[name]))


def _described(name: str, info: ModelInfo) -> dict[str, Any]:
    folder = info.folder
    made = datetime.fromtimestamp(folder.stat().st_mtime, UTC) if folder and folder.exists() else None
    return {
        "id": name,
        "object": "model",
        "created": int(made.timestamp()) if made else 0,
        "owned_by": "sdxl-lora-studio" if name == "mini" else "local",
    }


async def _health(call: Call) -> Response:
    database = await to_thread.run_sync(lambda: call.service.door.database)
    if database.read_only:
        raise Problem(503, "nothing new can be kept; the studio's log and pages say why", code="read_only")
    return JSONResponse({"status": "ok"})


async def _measures(call: Call) -> Response:
    states = dict.fromkeys(("queued", "running", "done", "failed", "cancelled"), 0)
    states |= await to_thread.run_sync(call.service.queue.counts)
    return Response(call.service.measures.text(states), media_type=None, headers={"Content-Type": MEDIA_TYPE})
