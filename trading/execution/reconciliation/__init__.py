"""Reconciliation of ledger and venue: `reconcile` takes both views and returns the actions that are due."""

from trading.execution.reconciliation.actions import (
    AbandonOrder,
    Action,
    CancelOrder,
    EndIncident,
    RaiseIncident,
    ResendStop,
    SubmitOrder,
    UpdateOrder,
    WaitForStop,
    WaitForVenue,
    describe,
)
from trading.execution.reconciliation.reconcile import STUCK_AFTER_S, is_booked, reconcile
from trading.execution.reconciliation.snapshots import LedgerSnapshot, SignalAgeLimit, VenueSnapshot

__all__ = [
    "STUCK_AFTER_S",
    "AbandonOrder",
    "Action",
    "CancelOrder",
    "EndIncident",
    "LedgerSnapshot",
    "RaiseIncident",
    "ResendStop",
    "SignalAgeLimit",
    "SubmitOrder",
    "UpdateOrder",
    "VenueSnapshot",
    "WaitForStop",
    "WaitForVenue",
    "describe",
    "is_booked",
    "reconcile",
]
