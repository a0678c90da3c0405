"""The rules, and judging evidence by all of them. A rule is a file; it measures nothing."""

from __future__ import annotations

from collections.abc import Collection

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding
from normwise.doctor.rule import Rule
from normwise.doctor.rules import (
    nw101_vanishing_gradient,
    nw102_exploding_gradient,
    nw103_dead_units,
    nw104_saturated_units,
    nw105_non_finite,
    nw106_learning_rate_too_high,
    nw107_learning_rate_too_low,
    nw108_bad_initialization,
    nw109_oscillating_loss,
    nw110_ignores_input,
    nw111_does_not_learn,
    nw112_gradients_not_cleared,
    nw113_overfitting,
    nw114_parameters_not_updated,
    nw115_weight_decay_too_high,
    nw116_learns_less_than_it_could,
    nw201_unscaled_inputs,
    nw202_unscaled_targets,
    nw203_output_does_not_fit_loss,
    nw204_sorted_batches,
    nw301_useless_bias,
    nw302_decayed_normalization,
    nw303_dropout_before_normalization,
    nw304_repeated_normalization,
    nw305_shared_layer,
    nw401_small_batch_statistics,
    nw402_stale_statistics,
    nw403_poisoned_statistics,
    nw404_train_eval_gap,
    nw405_frozen_normalization,
    nw406_momentum_convention,
    nw407_foreign_statistics,
    nw408_noisy_statistics,
    nw409_zero_gamma,
    nw410_left_in_training_mode,
    nw411_untracked_statistics,
    nw412_no_better_than_guessing,
)

RULES: tuple[Rule, ...] = (
    nw101_vanishing_gradient.RULE,
    nw102_exploding_gradient.RULE,
    nw103_dead_units.RULE,
    nw104_saturated_units.RULE,
    nw105_non_finite.RULE,
    nw106_learning_rate_too_high.RULE,
    nw107_learning_rate_too_low.RULE,
    nw108_bad_initialization.RULE,
    nw109_oscillating_loss.RULE,
    nw110_ignores_input.RULE,
    nw111_does_not_learn.RULE,
    nw112_gradients_not_cleared.RULE,
    nw113_overfitting.RULE,
    nw114_parameters_not_updated.RULE,
    nw115_weight_decay_too_high.RULE,
    nw116_learns_less_than_it_could.RULE,
    nw201_unscaled_inputs.RULE,
    nw202_unscaled_targets.RULE,
    nw203_output_does_not_fit_loss.RULE,
    nw204_sorted_batches.RULE,
    nw301_useless_bias.RULE,
    nw302_decayed_normalization.RULE,
    nw303_dropout_before_normalization.RULE,
    nw304_repeated_normalization.RULE,
    nw305_shared_layer.RULE,
    nw401_small_batch_statistics.RULE,
    nw402_stale_statistics.RULE,
    nw403_poisoned_statistics.RULE,
    nw404_train_eval_gap.RULE,
    nw405_frozen_normalization.RULE,
    nw406_momentum_convention.RULE,
    nw407_foreign_statistics.RULE,
    nw408_noisy_statistics.RULE,
    nw409_zero_gamma.RULE,
    nw410_left_in_training_mode.RULE,
    nw411_untracked_statistics.RULE,
    nw412_no_better_than_guessing.RULE,
)
"""In the order of their ids."""


def judged(evidence: Evidence, ignore: Collection[str] = ()) -> list[Finding]:
    """The findings of all rules but the ignored ones (ids or names), the root cause first."""
    from normwise.doctor.cause import ranked

    asked = [rule for rule in RULES if not {rule.id, rule.name} & set(ignore)]
    return ranked([finding for rule in asked for finding in rule.judge(evidence)], evidence)
