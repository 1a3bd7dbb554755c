"""Runs a Lambda handler where awslambdaric is not installed. Errors have the types and the JSON that it gives them."""
import decimal
import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback
from types import SimpleNamespace


class Fault(Exception):
    """An error that Lambda names itself."""


class Context:
    """What a handler gets beside its event."""

    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name, self.function_version, self.memory_limit_in_mb, self.log_group_name, self.log_stream_name = (
            os.environ["AWS_LAMBDA_" + name]
            for name in ("FUNCTION_NAME", "FUNCTION_VERSION", "FUNCTION_MEMORY_SIZE", "LOG_GROUP_NAME", "LOG_STREAM_NAME"))
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = json.loads(headers.get("Lambda-Runtime-Client-Context") or "null")
        if isinstance(self.client_context, dict):
            client = SimpleNamespace(**self.client_context.get("client") or {})
            self.client_context = SimpleNamespace(**{"custom": None, "env": None, **self.client_context, "client": client})
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))


def load(name):
    """Gives the handler "module.function"; the module may have folders, as a/b.function."""
    module, dot, function = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        traceback.print_exc()  # which import it was: the error object does not say
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}") from None
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}", where) from None
    try:
        return getattr(loaded, function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module}'") from None


def number(value):
    """json's default: of what it does not know, decimals are numbers."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def dumps(value):
    """What a handler returned, as bytes: bytes as they are, all else as JSON."""
    try:
        return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, default=number).encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def describe(error, request_id=""):
    """The error object, which goes to the log, too."""
    if isinstance(error, Fault):
        kind, text, *stack = error.args
    else:
        kind, text = type(error).__name__, str(error)
        frames = traceback.extract_tb(error.__traceback__)
        stack = traceback.format_list([f for f in frames if f.filename != __file__ and not f.filename.startswith("<frozen importlib")])
    print(f"[ERROR] {kind}: {text}", "Traceback (most recent call last):", *(line.rstrip() for line in stack), sep="\n")
    return {"errorMessage": text, "errorType": kind, "requestId": request_id, "stackTrace": stack}


def main():
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def call(method, path, body=None, headers={}):
        api.request(method, "/2018-06-01/runtime/" + path, body, headers)
        answer = api.getresponse()
        return answer.headers, answer.read()

    def fail(path, error):
        call("POST", path, json.dumps(error), {"Lambda-Runtime-Function-Error-Type": error["errorType"]})

    records = logging.StreamHandler(sys.stdout)
    records.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    records.addFilter(lambda record: setattr(record, "aws_request_id", request_id) or True)
    logging.Formatter.converter = time.gmtime
    logging.getLogger().addHandler(records)

    request_id = ""
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:
        fail("init/error", describe(error))
        sys.exit(1)
    while True:
        headers, event = call("GET", "invocation/next")
        context = Context(headers)
        request_id = context.aws_request_id
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
        try:
            body = dumps(handler(json.loads(event), context))
        except Exception as error:
            fail(f"invocation/{request_id}/error", describe(error, request_id))
        else:
            call("POST", f"invocation/{request_id}/response", body)


if __name__ == "__main__":
    main()
