"""The flow as one table: the four stages in order, as Celery runs them.

| task             | takes                | gives                   | queue      | soft / hard limit |
|------------------|----------------------|-------------------------|------------|-------------------|
| tasks.fetch      | a tick               | NEW_CANDLE              | the symbol | 12 s / 15 s       |
| tasks.indicators | NEW_CANDLE           | INDICATORS_UPDATED      | the symbol | 12 s / 15 s       |
| tasks.strategy   | INDICATORS_UPDATED   | SIGNAL_GENERATED        | the symbol | 12 s / 15 s       |
| tasks.execute    | SIGNAL_GENERATED     | orders, fills, the end  | the symbol | 12 s / 15 s       |
"""

STAGES = ("tasks.fetch", "tasks.indicators", "tasks.strategy", "tasks.execute")
FIRST_STAGE = STAGES[0]

RECONCILE = "tasks.reconcile"
"""Runs between chains on the symbol's own queue, so that nothing else talks to the venue meanwhile."""

SOFT_LIMIT_S = 12
HARD_LIMIT_S = 15

DELIVERY_LIMIT = 3
"""How often a message that keeps killing its worker is tried before it is dropped; the next tick heals the symbol."""

TICK_LIFE_S = 20.0
"""How long after its tick was sent a step may still begin; a later one gives way to a newer tick."""
