"""Checkpoints: directories without pickle, hashed, and written whole or not at all.

=====================  ==========================================================================
:mod:`.state`          save and load a run's whole state
:mod:`.policies`       one policy on its own: ``load_policy``
:mod:`.folder`         a run's checkpoints: names, the last one, keeping n
:mod:`.manifest`       what a checkpoint is, and the hash of every file
:mod:`.references`     functions and classes by name, and which of them may be imported
:mod:`.tree`           a nested state as JSON and arrays
:mod:`.files`          bytes to the disk
=====================  ==========================================================================
"""

from marl.checkpoint.folder import checkpoint_name, find_checkpoint, keep_last, list_checkpoints
from marl.checkpoint.manifest import FORMAT_VERSION, Manifest, read_manifest
from marl.checkpoint.policies import PolicyRecord, ScriptedSeat, build_policy, load_policy, read_policy
from marl.checkpoint.references import check_trust, is_reference, references_in, trusting, unsaved_in
from marl.checkpoint.state import load_config, load_part, load_state, save_state, verify

__all__ = [
    "FORMAT_VERSION",
    "Manifest",
    "PolicyRecord",
    "ScriptedSeat",
    "build_policy",
    "check_trust",
    "checkpoint_name",
    "find_checkpoint",
    "is_reference",
    "keep_last",
    "list_checkpoints",
    "load_config",
    "load_part",
    "load_policy",
    "load_state",
    "read_manifest",
    "read_policy",
    "references_in",
    "save_state",
    "trusting",
    "unsaved_in",
    "verify",
]
