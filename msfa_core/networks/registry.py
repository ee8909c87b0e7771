"""Every network that can be trained, by its configuration and by the name of its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msfa_core.errors import ModelError
from msfa_core.networks.baselines import BASELINES, Baseline, BaselineConfig
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.networks.transformer import SpectralTransformer, TransformerConfig

NetworkConfig = MSFANetConfig | BaselineConfig | TransformerConfig
Network = MSFANet | Baseline | SpectralTransformer

_CONFIGS: Final[Mapping[str, type[NetworkConfig]]] = {
    MSFANet.__name__: MSFANetConfig,
    SpectralTransformer.__name__: TransformerConfig,
    **{network.__name__: BaselineConfig for network in BASELINES.values()},
}


def build_network(config: NetworkConfig) -> Network:
    """Return a network of this configuration, with weights drawn from torch's generator."""
    if isinstance(config, BaselineConfig):
        return BASELINES[config.name](config)
    if isinstance(config, TransformerConfig):
        return SpectralTransformer(config)
    return MSFANet(config)


def architecture(config: NetworkConfig) -> str:
    """Return the name of the network's class, as weights files carry it."""
    if isinstance(config, BaselineConfig):
        return BASELINES[config.name].__name__
    return next(name for name, kind in _CONFIGS.items() if isinstance(config, kind))


def read_config(name: str, values: Mapping[str, Any]) -> NetworkConfig:
    """Return the configuration of an architecture from plain values.

    Parameters
    ----------
    name : str
        As :func:`architecture` gives it.
    values : mapping
        As ``as_dict`` of the configuration gives them.

    Raises
    ------
    ModelError
        When the architecture is unknown or the values are of another one.
    """
    if name not in _CONFIGS:
        raise ModelError(
            f"unknown architecture {name!r}; this version knows {', '.join(sorted(_CONFIGS))}."
        )
    config = _CONFIGS[name](**values)
    if architecture(config) != name:
        raise ModelError(f"the configuration is of {architecture(config)}, not of {name}.")
    return config
