"""Power, the smallest detectable difference, and how many items, tasks or replicates are needed."""

from __future__ import annotations

from promptlab.analysis.power.binary import (
    connor_n,
    detectable_mcnemar,
    mcnemar_n,
    miller_n,
    normal_power,
    power_mcnemar,
    size_mcnemar,
)
from promptlab.analysis.power.design import Detectable, detectable_difference
from promptlab.analysis.power.errors import DesignErrors, design_errors, exaggeration
from promptlab.analysis.power.means import detectable_t, power_t, t_n
from promptlab.analysis.power.replication import items_needed, replicate_design, tasks_needed
from promptlab.analysis.power.simulated import MaxTPower, power_max_t
from promptlab.analysis.power.tost import power_tost, power_tost_tango, tost_n

__all__ = [
    "DesignErrors",
    "Detectable",
    "MaxTPower",
    "connor_n",
    "design_errors",
    "detectable_difference",
    "detectable_mcnemar",
    "detectable_t",
    "exaggeration",
    "items_needed",
    "mcnemar_n",
    "miller_n",
    "normal_power",
    "power_max_t",
    "power_mcnemar",
    "power_t",
    "power_tost",
    "power_tost_tango",
    "replicate_design",
    "size_mcnemar",
    "t_n",
    "tasks_needed",
    "tost_n",
]
