"""All rows of the drill, by the name of the promise that each one tries."""

from drill import guessing, learning, lock_out, log_ins, registrations, thefts
from drill.measures import Row

ROWS = (
    Row("guess.code.strangers", guessing.guess_as_strangers),
    Row("guess.code.neighbour", guessing.guess_as_neighbours),
    Row("guess.code.unowned", guessing.guess_at_a_free_number),
    Row("guess.code.spread", guessing.guess_at_many_numbers),
    Row("guess.code.spread-unowned", guessing.guess_at_many_free_numbers),
    Row("guess.password.neighbour", log_ins.guess_as_neighbour),
    Row("guess.password.strangers", log_ins.guess_as_strangers),
    Row("spend.network", learning.bill_of_a_network),
    Row("learn.look-ups.network", learning.look_up_from_a_network),
    Row("learn.contacts.account", learning.look_up_for_a_day),
    Row("learn.contacts.after-budget", learning.look_up_after_the_budget),
    Row("learn.contacts.accounts", learning.look_up_with_six_accounts),
    Row("keep-out.code.owner", lock_out.keep_from_everything),
    Row("keep-out.code.live", lock_out.end_a_code),
    Row("keep-out.code.cooldown", lock_out.hold_in_cooldown),
    Row("keep-out.code.neighbour", lock_out.keep_out_as_neighbour),
    Row("keep-out.code.intruder", lock_out.keep_out_as_intruder),
    Row("keep-out.code.session", lock_out.keep_out_with_session),
    Row("keep-out.code.everybody", lock_out.keep_everybody_out),
    Row("keep-out.code.unowned", registrations.delay_a_registration),
    Row("keep-out.code.newcomer", registrations.keep_newcomers_out),
    Row("keep-out.log-in.neighbour", log_ins.keep_out_as_neighbour),
    Row("keep-out.log-in.everybody", log_ins.keep_everybody_out),
    Row("reuse.code.elsewhere", thefts.reuse),
)
"""``keep-out.code.owner`` tries log-ins with the password too."""
