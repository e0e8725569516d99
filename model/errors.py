"""What goes wrong with a request, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from starlette.responses import JSONResponse

from model.schema import ErrorBody, ErrorDetail

RETRY_AFTER_LOADING = 2
"""Seconds a client is asked to wait while the weights load."""

RETRY_AFTER_BUSY = 5
"""Seconds a client is asked to wait when the queue is full: about one short answer on two cores."""

TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that cannot be served. The message is one sentence for whoever sent it."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after

    def body(self) -> ErrorBody:
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return ErrorBody(error=ErrorDetail(message=self.message, type=kind, param=self.param, code=self.code))

    def response(self) -> JSONResponse:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body().model_dump(), self.status, headers)


def bad_request(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def too_large(message: str, *, code: str, param: str) -> ApiError:
    return ApiError(413, message, code=code, param=param)


def too_long(length: int, limit: int, what: str = "tokens") -> ApiError:
    message = f"The conversation is {length} {what} long, and the model reads at most {limit}."
    return bad_request(message, code="context_length_exceeded", param="messages")


def queue_full() -> ApiError:
    message = "Too many requests are waiting. Please try again in a moment."
    return ApiError(429, message, code="queue_full", retry_after=RETRY_AFTER_BUSY)


def loading() -> ApiError:
    return ApiError(503, "The model is still loading.", code="loading", retry_after=RETRY_AFTER_LOADING)


def load_failed(detail: str) -> ApiError:
    return ApiError(503, detail, code="load_failed")


def no_adapter(reason: str, param: str) -> ApiError:
    return ApiError(404, reason, code="model_not_found", param=param)


def shutting_down() -> ApiError:
    return ApiError(503, "The worker is shutting down.", code="shutting_down", retry_after=RETRY_AFTER_BUSY)


def out_of_memory() -> ApiError:
    return ApiError(500, "The model ran out of memory; a shorter conversation may fit.", code="out_of_memory")


def internal(request_id: str) -> ApiError:
    return ApiError(500, f"Something went wrong in the worker. Its log has the details: {request_id}.", code="internal_error")
