"""The venues and candle sources that a configuration can name: how each is opened, those of other packages included."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from adapters import clock
from configs.plugins.entry_points import SOURCES, VENUES, fault, load
from configs.plugins.sources import FileSource, SimulatedSource, SourceConfig
from configs.plugins.venues import PaperVenue, VenueConfig
from configs.settings import Settings
from configs.symbols import SymbolConfig
from trading.market.sessions import Session
from trading.ports.candle_source import CandleSource
from trading.ports.venue import Venue

if TYPE_CHECKING:
    from adapters.sources.playback_clock import AnchorStore

V = TypeVar("V", bound=VenueConfig)
S = TypeVar("S", bound=SourceConfig)

VenueClock = Callable[[], int]
"""Returns the time of a venue as `trading.ports.venue.Venue.clock_ms`: milliseconds since the epoch, UTC."""


class VenueContext(Struct, Generic[V], frozen=True):
    """The arguments of a function that opens a venue.

    Attributes:
        configs: The settings of the venue by symbol, for all symbols of this process whose venue is of this kind.
        settings: Of the installation: folders, addresses of the databases, the name space in Redis.
        allow_non_positive: Symbols whose prices may be zero or negative.
    """

    configs: Mapping[str, V]
    settings: Settings
    allow_non_positive: frozenset[str] = frozenset()


class SourceContext(Struct, Generic[S], frozen=True):
    """The arguments of a function that opens a candle source.

    Attributes:
        timeframe: Length of a candle, such as "1m".
        session: When the market is open.
        now_ms: The wall clock, milliseconds since the epoch, UTC.
        anchors: Keeps the clock of a played market; a source in real time needs none.
    """

    symbol: str
    timeframe: str
    config: S
    session: Session
    now_ms: Callable[[], int]
    anchors: "AnchorStore"


def no_clocks(_symbols: Mapping[str, SymbolConfig]) -> Mapping[str, VenueClock]:
    """Return no clock: none is compared with ours."""
    return {}


class VenuePlugin(Struct, Generic[V], frozen=True):
    """A kind of venue: the value that an entry point of `trading_orchestrator.venues` names.

    Attributes:
        config: The model of its settings.
        open: Called in the process that uses the venue, once with all symbols of this kind; returns one venue for all
            of them, or one by symbol. Connections must not cross a fork: open them here, and not at import.
        clocks: Returns the clock of each venue of the given symbols by a title, without opening it.
    """

    config: type[V]
    open: Callable[[VenueContext[V]], Venue | Mapping[str, Venue]]
    clocks: Callable[[Mapping[str, SymbolConfig]], Mapping[str, VenueClock]] = no_clocks


class SourcePlugin(Struct, Generic[S], frozen=True):
    """A kind of candle source: the value that an entry point of `trading_orchestrator.sources` names.

    Attributes:
        config: The model of its settings.
        open: Called for each symbol, in the process that fetches its candles.
    """

    config: type[S]
    open: Callable[[SourceContext[S]], CandleSource]


def venue_plugin(kind: str) -> VenuePlugin[Any]:
    """Return the plug-in of a kind of venue that is configured.

    Raises:
        PluginError: The entry point names something else.
    """
    found: object = load(VENUES, kind)
    if not isinstance(found, VenuePlugin):
        raise fault(VENUES, kind, f"is {found!r}, expected a VenuePlugin")
    return found


def source_plugin(kind: str) -> SourcePlugin[Any]:
    """Return the plug-in of a kind of candle source that is configured.

    Raises:
        PluginError: The entry point names something else.
    """
    found: object = load(SOURCES, kind)
    if not isinstance(found, SourcePlugin):
        raise fault(SOURCES, kind, f"is {found!r}, expected a SourcePlugin")
    return found


def _open_paper(context: VenueContext[PaperVenue]) -> Mapping[str, Venue]:
    from adapters.venues.open_paper import open_paper  # noqa: PLC0415  # a check of the configuration opens no database

    return open_paper(context.settings, context.configs, allow_non_positive=context.allow_non_positive)


def _paper_clocks(symbols: Mapping[str, SymbolConfig]) -> Mapping[str, VenueClock]:
    """Return our own clock, since the paper venue runs in our processes; faults may add an offset."""
    clocks: dict[str, VenueClock] = {}
    for symbol, config in symbols.items():
        faults = config.venue.faults if isinstance(config.venue, PaperVenue) else None
        if faults is None:
            clocks["the paper venue"] = clock.now_ms
        else:
            clocks[f"the venue of {symbol}"] = _shifted(faults.clock_offset_ms)
    return clocks


def _shifted(offset_ms: int) -> VenueClock:
    return lambda: clock.now_ms() + offset_ms


def _open_file(context: SourceContext[FileSource]) -> CandleSource:
    from adapters import sources  # noqa: PLC0415  # a check of the configuration reads no candles

    config = context.config
    return sources.FileSource(
        config.path,
        context.symbol,
        context.timeframe,
        config.speed,
        now_ms=context.now_ms,
        anchors=context.anchors,
        step=config.step,
        options=config.recorded_options,
        session=context.session,
    )


def _open_simulated(context: SourceContext[SimulatedSource]) -> CandleSource:
    from adapters import sources  # noqa: PLC0415  # as above

    config = context.config
    return sources.SimulatedSource(
        context.symbol,
        context.timeframe,
        seed=config.seed,
        start_ms=int(config.start.timestamp() * 1000),
        start_price=config.start_price,
        speed=config.speed,
        annual_volatility=config.annual_volatility,
        tick_size=config.tick_size,
        is_open=context.session.may_be_open,
        now_ms=context.now_ms,
        anchors=context.anchors,
        step=config.step,
    )


PAPER = VenuePlugin(config=PaperVenue, open=_open_paper, clocks=_paper_clocks)
FILE = SourcePlugin(config=FileSource, open=_open_file)
SIMULATED = SourcePlugin(config=SimulatedSource, open=_open_simulated)
