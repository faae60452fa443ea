"""Celery's configuration, found by every `celery` command that is run from this folder, with `-A tasks` or without."""

from configs.redis_url import parse_redis_url
from configs.settings import load_settings, resolve_redis_url
from tasks.engine.celery_patches import register_transport
from tasks.engine.routing import CONTROL_QUEUE, PRIORITY_STEPS, route
from tasks.engine.stages import HARD_LIMIT_S, SOFT_LIMIT_S

_settings = load_settings()

register_transport()
broker_url = parse_redis_url(resolve_redis_url(_settings)).broker_url
result_backend = broker_url
imports = (
    "tasks.pipeline",
    "tasks.reconcile",
    "tasks.control",
    "tasks.reload",
    "tasks.health",
    "tasks.status_log",
    "worker.signals",
    "tasks.flower.protection",  # Flower imports these before it listens
)

# A step in flight when its worker dies comes back after this long, so it must exceed the hard time limit.
visibility_timeout = HARD_LIMIT_S + 5
broker_transport_options = {
    "visibility_timeout": visibility_timeout,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,  # without it a frozen Redis blocks a publish for ever
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "queue_order_strategy": "round_robin",  # "priority" would starve the last queue of a busy worker
    "priority_steps": list(PRIORITY_STEPS),
    "client_name": _settings.namespace,
}
result_backend_transport_options = {"visibility_timeout": visibility_timeout, "retry_policy": {"timeout": 5.0}}
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 3.0
redis_retry_on_timeout = True
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_pool_acquire_timeout = 10.0
task_publish_retry_policy = {"max_retries": 30, "interval_start": 0, "interval_step": 0.2, "interval_max": 1.0}

task_acks_late = True
task_reject_on_worker_lost = True  # bounded by tasks.engine.step_wrappers, Redis itself knows no limit
worker_prefetch_multiplier = 1
worker_concurrency = 1
worker_pool = "prefork"
worker_cancel_long_running_tasks_on_connection_loss = True
worker_soft_shutdown_timeout = 8.0
worker_pool_restarts = True
worker_max_memory_per_child = _settings.worker_max_memory_mb * 1000 or None  # KB; what a strategy keeps goes with it
task_soft_time_limit = SOFT_LIMIT_S
task_time_limit = HARD_LIMIT_S

task_default_queue = CONTROL_QUEUE
task_inherit_parent_priority = False  # the router decides; task_default_priority would override it and stays unset
task_routes = (route,)

task_serializer = result_serializer = event_serializer = "json"
accept_content = ["json"]
task_ignore_result = True  # the control tasks keep theirs
task_store_errors_even_if_ignored = True
result_expires = 3600
worker_send_task_events = _settings.task_events
task_send_sent_event = _settings.task_events
worker_hijack_root_logger = True

beat_scheduler = "beat.scheduler:SymbolScheduler"
beat_max_loop_interval = 1
beat_enable_remote_control = True
enable_utc = True
timezone = "UTC"
