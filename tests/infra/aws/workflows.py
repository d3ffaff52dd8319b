"""Step Functions: JSONata, SageMaker's ``.sync``, the events of executions that end, and waits made short."""

from __future__ import annotations

import datetime
import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import jsonata
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.events.models import events_backends
from moto.sagemaker.models import sagemaker_backends
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    resource,
    state_task_service_callback,
    state_task_service_factory,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.jsonata import jsonata as moto_jsonata
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend import execution as executions
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from tests.infra.aws.settings import HERE

REGION = "us-east-1"
_FAILED = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)
_clients: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()


def _evaluated(expression: str) -> Any:
    try:
        return json.loads(json.dumps(jsonata.Jsonata(expression).evaluate(None)))
    except Exception as error:
        raise moto_jsonata.JSONataException("UNKNOWN", str(error)) from error


def _declarations(bindings: dict[str, Any]) -> str:
    """moto leaves quotes in strings as they are."""
    return "".join(f"{name}:={json.dumps(value)};" for name, value in bindings.items())


def _json(content: Any) -> Any:
    return json.loads(json.dumps(content, default=lambda value: int(value.timestamp() * 1000)))


class SageMakerTask(state_task_service_callback.StateTaskServiceCallback):
    """``sagemaker:createTrainingJob.sync``, which moto does not know."""

    def __init__(self) -> None:
        # moto ends a wait through the token's endpoint
        super().__init__({resource.ResourceCondition.Sync, resource.ResourceCondition.WaitForTaskToken})

    def _get_supported_parameters(self) -> set[str]:
        action = self.resource.api_action
        model = _model_of_sagemaker()
        return set(model.operation_model(action[0].upper() + action[1:]).input_shape.members)

    def _failure(self, env: Any, error: str, cause: str) -> FailureEvent:
        details = TaskFailedEventDetails(
            error=error,
            cause=cause,
            resource=self._get_sfn_resource(),
            resourceType=self._get_sfn_resource_type(),
        )
        return FailureEvent(
            env=env,
            error_name=_FAILED if error == "States.TaskFailed" else CustomErrorName(error),
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),
        )

    def _from_error(self, env: Any, ex: Exception) -> FailureEvent:
        if isinstance(ex, ClientError):
            code = ex.response["Error"]["Code"]
            return self._failure(env, f"SageMaker.{code}", ex.response["Error"]["Message"])
        return super()._from_error(env, ex)

    def _eval_service_task(
        self, env: Any, resource_runtime_part: Any, normalised_parameters: dict[str, Any], state_credentials: Any
    ) -> None:
        answer = _client_for(REGION, "sagemaker", state_credentials).create_training_job(**normalised_parameters)
        answer.pop("ResponseMetadata", None)
        env.stack.append(_json(answer))

    def _build_sync_resolver(
        self, env: Any, resource_runtime_part: Any, normalised_parameters: dict[str, Any], state_credentials: Any
    ) -> Callable[[], Any]:
        env.stack.pop()
        name = normalised_parameters["TrainingJobName"]

        sagemaker = _client_for(REGION, "sagemaker", state_credentials)
        # not asked by calls: EventBridge tells Step Functions of a job's end
        jobs = sagemaker_backends[env.aws_execution_details.account][REGION].training_jobs

        def poll() -> Any:
            if jobs[name].training_job_status in ("InProgress", "Stopping"):
                return None
            job = sagemaker.describe_training_job(TrainingJobName=name)
            job.pop("ResponseMetadata", None)
            if job["TrainingJobStatus"] == "Completed":
                return _json(job)
            cause = json.dumps(_json(job))
            raise FailureEventException(self._failure(env, "States.TaskFailed", cause))

        def poll_or_stop() -> Any:
            """An execution that is aborted or out of time takes its training job with it."""
            found = poll()
            if found is None and not env.is_running():
                sagemaker.stop_training_job(TrainingJobName=name)
            return found

        return poll_or_stop

    def _eval_sync(self, env: Any, sync_resolver: Any, **others: Any) -> Any:
        found = super()._eval_sync(env=env, sync_resolver=sync_resolver, **others)
        return found or sync_resolver()


@functools.cache
def _model_of_sagemaker() -> Any:
    return boto3.client("sagemaker", region_name=REGION).meta.service_model


def _client_for(region: str, service: str, state_credentials: Any) -> Any:
    """With the state machine's role as the key's id, so that its calls can be told; one client for all executions."""
    role = state_credentials.role_arn.rpartition("/")[2]
    with _lock:
        if (service, role) not in _clients:
            client = _clients[service, role] = boto3.client(
                service,
                region_name=region,
                aws_access_key_id=role,
                aws_secret_access_key="of-tests",
                config=Config(
                    parameter_validation=False,
                    retries={"total_max_attempts": 1},
                    read_timeout=300,
                    max_pool_connections=64,
                ),
            )
            if service == "s3":
                client.meta.events.register("provide-client-params.s3.PutObject", _with_json_body)
        return _clients[service, role]


def _with_json_body(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Step Functions writes an object as JSON."""
    body = params.get("Body")
    return {**params, "Body": json.dumps(body).encode()} if isinstance(body, dict) else params


def _with_event(reflect: Callable[[Any], None]) -> Callable[[Any], None]:
    def reflected(self: Any) -> None:
        reflect(self)
        execution = self.execution
        started: datetime.datetime = execution.start_date
        detail = {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine.arn,
            "name": execution.name,
            "status": str(getattr(execution.exec_status, "value", execution.exec_status)),
            "startDate": int(started.timestamp() * 1000) if hasattr(started, "timestamp") else None,
            "input": json.dumps(execution.input_data),
            "error": execution.error,
            "cause": execution.cause,
        }
        account = execution.exec_arn.split(":")[4]
        entry = {
            "Source": "aws.states",
            "DetailType": "Step Functions Execution Status Change",
            "Detail": json.dumps(detail),
            "Resources": [execution.exec_arn],
        }
        events_backends[account][REGION].put_events([entry])

    return reflected


def patch() -> None:
    moto_jsonata._eval_jsonata = _evaluated  # type: ignore[attr-defined]
    for module in list(sys.modules.values()):
        if getattr(module, "encode_jsonata_variable_declarations", None):
            module.encode_jsonata_variable_declarations = _declarations  # type: ignore[attr-defined]
        if getattr(module, "boto_client_for", None) is not None and module is not boto_client:
            module.boto_client_for = _client_for  # type: ignore[attr-defined]
    known = state_task_service_factory.state_task_service_for

    def service_for(service_name: str) -> Any:
        return SageMakerTask() if service_name == "sagemaker" else known(service_name)

    state_task_service_factory.state_task_service_for = service_for
    state_task_factory.state_task_service_for = service_for
    communication = executions.BaseExecutionWorkerCommunication
    communication._reflect_execution_status = _with_event(communication._reflect_execution_status)
    for module in (json_path, result_path):
        module.parse = functools.lru_cache(maxsize=256)(module.parse)  # type: ignore[attr-defined]
    ExecutionWorker._get_evaluation_entrypoint = _entry_point  # type: ignore[method-assign]
    retrier_decl.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * HERE.time_scale))  # type: ignore
    wait_function.WaitFunction._wait_interval = _wait  # type: ignore[method-assign]
    state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = 0.1  # type: ignore[misc]


@functools.lru_cache(maxsize=32)
def _program_of(definition: str) -> Any:
    return AmazonStateLanguageParser.parse(definition)[0]


def _entry_point(self: Any) -> Any:
    """Parsed once for all executions: what changes in one is in its environment, but of a map in the program."""
    definition = self._evaluation_details.state_machine_details.definition
    has_map = any(state["Type"] == "Map" for state in json.loads(definition)["States"].values())
    return AmazonStateLanguageParser.parse(definition)[0] if has_map else _program_of(definition)


def _wait(self: Any, env: Any, wait_seconds: float) -> None:
    env.program_state_event.wait(wait_seconds * HERE.time_scale)
