"""A run's configuration: one YAML file, one dict or keyword arguments, all the same validated :class:`RunConfig`."""

from marl.config.dump import config_to_data
from marl.config.parse import load_config, names_checkpoint
from marl.config.plugins import find_algorithm, import_reference, known_algorithms
from marl.config.run_file import apply_overrides, is_unsaved, parse_yaml, read_run_file, reference_to, write_yaml
from marl.config.schema import CheckpointConfig, EvaluationConfig, LearnerEntry, PolicyEntry, RunConfig, RunKeys

__all__ = [
    "CheckpointConfig",
    "EvaluationConfig",
    "LearnerEntry",
    "PolicyEntry",
    "RunConfig",
    "RunKeys",
    "apply_overrides",
    "config_to_data",
    "find_algorithm",
    "import_reference",
    "is_unsaved",
    "known_algorithms",
    "load_config",
    "names_checkpoint",
    "parse_yaml",
    "read_run_file",
    "reference_to",
    "write_yaml",
]
