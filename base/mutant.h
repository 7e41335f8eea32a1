/* mutant.h -- deliberate bugs, to show that the simulator finds them (docs/simulator.md).
 *
 * DR_MUTANT(NAME) stands beside the rule that it breaks.  In every build but the simulator's own (DR_MUTANTS) it
 * is the constant 0 and its name is not even looked at.  The names are the rows of base/mutants.def. */
#ifndef DR_BASE_MUTANT_H
#define DR_BASE_MUTANT_H

#ifdef DR_MUTANTS
enum dr_mutant {
	DR_MUTANT_NONE,
#define MUTANT(NAME, rule, what) DR_MUTANT_##NAME,
#include "base/mutants.def"
#undef MUTANT
	DR_MUTANT_MAX
};
extern enum dr_mutant dr_mutant; /* the one that is switched on */
#define DR_MUTANT(NAME) (dr_mutant == DR_MUTANT_##NAME)
#else
#define DR_MUTANT(NAME) 0
#endif

#endif
