"""Settings selected by their `kind`: a union of the plug-ins' models, built when the first value is validated."""

from typing import Any, NoReturn, get_args

from msgspec import Struct
from pydantic import ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from configs.plugins.entry_points import PluginError, fault, load, names
from configs.services import ConfigModel


class KindOf(Struct, frozen=True):
    """Annotates a field whose model is selected from those registered in `group` by its key `kind`.

    The model that has the field defers its schema (`defer_build`), so that plug-ins, which import this package, are
    not loaded while it is imported.
    """

    group: str

    def __get_pydantic_core_schema__(self, base: type[ConfigModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {name: handler.generate_schema(_choice(self.group, name, base)) for name in names(self.group)}
        return core_schema.tagged_union_schema(choices, discriminator="kind")


def settings_of(group: str, name: str, base: type[ConfigModel]) -> type[ConfigModel]:
    """Return the model of a plug-in's settings.

    Args:
        base: Class that the model derives from.

    Raises:
        PluginError: The plug-in cannot be loaded, or does not have the type of its group.
    """
    found: object = getattr(load(group, name), "config", None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise fault(group, name, f"has no settings: its `config` is {found!r}, not a subclass of {base.__name__}")
    kind = found.model_fields["kind"].annotation
    if get_args(kind) != (name,):
        raise fault(group, name, f"has settings of another kind: `kind` is {kind!r}, expected Literal[{name!r}]")
    return found


def _choice(group: str, name: str, base: type[ConfigModel]) -> type[ConfigModel]:
    try:
        return settings_of(group, name, base)
    except PluginError as error:
        return _unusable(base, str(error))


def _unusable(base: type[ConfigModel], reason: str) -> type[ConfigModel]:
    """Return a model that rejects every value: a plug-in that cannot be loaded affects only symbols that name it."""

    class Unusable(base):  # type: ignore[misc, valid-type]  # the base is known at run time
        model_config = ConfigDict(extra="allow", title=f"Unusable ({reason})")

        @model_validator(mode="before")
        @classmethod
        def _reject(cls, _: Any) -> NoReturn:
            raise ValueError(reason)

    return Unusable
