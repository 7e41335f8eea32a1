/* drcoord: never two primaries.  Model of docs/design.md section 4 for SPIN 6.5.
 * One file, three models, chosen with -DMODEL_x (spin hands -D to cpp):
 *   MODEL_LEASE     rules 1-6 over an explicit small Raft: grants, ticks, epoch, expiry, guard
 *   MODEL_FAILSAFE  rule 8: promises, lists, extensions, restarts; coordinators as an oracle
 *   MODEL_ORDERS    rules 4, 5 and the order numbers: delayed, repeated, retargeted orders
 * Each is one process whose steps are d_steps; time is a step that lowers every timer by one.
 * All timers count down, so runs are unbounded while the state stays finite.
 * BUG_x removes a rule.  HOLE_x is a literal reading of the text before the repairs in README.md.
 * SANITY turns the check round: the good outcome is asserted unreachable, and must be reached. */

#ifndef TTL
#define TTL 3
#endif
#ifdef BUG_NO_MARGIN
#define M 0
#else
#define M 1                     /* rule 3: what TTL x drift bound is worth, in ticks */
#endif
#ifdef HOLE_TTL_LOWERED
bit lowered;                    /* coordinators already count with a shorter TTL */
#define HOLD (TTL + M - lowered)
#else
#define HOLD (TTL + M)
#endif
#define DEC(x) x = (x > 0 -> x - 1 : 0)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* ------------------------------------------------------------------------------------------ */
#ifdef MODEL_LEASE
/* Three coordinators; the agent of P.  The promoted standby counts as writable from the moment
 * at which the fence proof is committed, which is earlier than any real one. */
#ifndef MAXE
#define MAXE 4                  /* log entries per coordinator */
#endif
#ifndef MAXT
#define MAXT 3                  /* Raft terms */
#endif
#define TICK  1
#define EPOCH 2
#define PROOF 3
#define TERM(e) ((e) >> 2)
#define KIND(e) ((e) & 3)
#define E(c, i) log[(c) * MAXE + (i) - 1]
#define LASTTERM(c) (ln[c] > 0 -> TERM(E(c, ln[c])) : 0)
#define UPTODATE(c, v) (LASTTERM(c) > LASTTERM(v) || (LASTTERM(c) == LASTTERM(v) && ln[c] >= ln[v]))

byte log[3 * MAXE];             /* durable */
byte ln[3];
byte vterm[3] = 1;
bit  lead[3];                   /* believes that it leads, in vterm */
byte ci[3];                     /* leader: applied up to here */
bit  hasE[3];                   /* log holds the epoch entry / the proof entry */
bit  hasP[3];
byte held[3];                   /* P's lease counts as held while > 0: volatile, HOLD at its start,  */
                                /* raised by each renewal received and each lease tick received */
#ifdef HOLE_REELECTED
byte tickT[3];                  /* only the ticks received as a follower */
#endif
#ifdef BUG_OLDER_TICK
byte pend[3];
#endif
#ifdef HOLE_FIRST_REACHED
byte hi[3];                     /* the longest that the log ever was */
#endif
bit  got[3];                    /* leader: holds the renewal, unanswered */
byte att[3];                    /* leader: the tick it waits for */
byte maxterm = 1;

byte rem, lease;                /* agent clock: of the outstanding renewal, of the lease */
bit  rskip, lskip;              /* its clock stood still once during that */
bit  grant;                     /* a grant of that renewal is on its way */
bit  w;                         /* P's server is writable */
bit  fenced;                    /* by order at epoch 2: journaled */
bit  paused, dying, conf;
bit  epochDone, promoted;
byte i, j;

inline stepdown(c)
{
	lead[c] = 0; got[c] = 0; att[c] = 0; ci[c] = 0
}

inline flags(c)                 /* what the log of c holds */
{
	hasE[c] = 0; hasP[c] = 0; j = 1;
	do
	:: j <= ln[c] ->
		if
		:: KIND(E(c, j)) == EPOCH -> hasE[c] = 1
		:: KIND(E(c, j)) == PROOF -> hasP[c] = 1
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}
#define EAP(l, upto) ((upto >= 1 && KIND(E(l, 1)) == EPOCH) || (upto >= 2 && KIND(E(l, 2)) == EPOCH) || \
	(upto >= 3 && KIND(E(l, 3)) == EPOCH) || (upto >= 4 && KIND(E(l, 4)) == EPOCH))

inline newtick(c)               /* a follower receives a tick */
{
#ifdef BUG_OLDER_TICK
	held[c] = MAX(held[c], pend[c]); pend[c] = HOLD;
#else
	held[c] = HOLD;
#endif
#ifdef HOLE_REELECTED
	tickT[c] = HOLD;
#endif
}

inline append(l, k)
{
	ln[l] = ln[l] + 1;
#ifdef HOLE_FIRST_REACHED
	hi[l] = MAX(hi[l], ln[l]);
#endif
	E(l, ln[l]) = vterm[l] * 4 + k;
	if
	:: k == EPOCH -> hasE[l] = 1
	:: k == PROOF -> hasP[l] = 1
	:: k == TICK ->
		if
		:: got[l] && att[l] == 0 -> att[l] = ln[l];
#ifdef BUG_GRANT_BEFORE_COMMIT
			if
			:: !hasE[l] -> grant = 1
			:: else
			fi
#endif
		:: else
		fi
	fi
}

inline forget_renewal()
{
	rem = 0; rskip = 0; grant = 0;
	got[0] = 0; att[0] = 0; got[1] = 0; att[1] = 0; got[2] = 0; att[2] = 0
}

inline age(c)
{
	DEC(held[c]);
#ifdef HOLE_REELECTED
	DEC(tickT[c]);
#endif
#ifdef BUG_OLDER_TICK
	DEC(pend[c]);
#endif
}

inline time_passes(slow)        /* slow: the agent's clock stands still */
{
	age(0); age(1); age(2);
#ifdef HOLE_DRIFT_PER_CLOCK
	if                      /* the bound holds for each clock against true time: while */
	:: slow -> age(0); age(1); age(2)  /* the agent's is slow, the coordinators' are fast */
	:: else
	fi;
#endif
	if
	:: dying -> dying = 0; w = 0; paused = 0
	:: else
	fi;
	if
	:: slow -> if :: lease > 0 -> lskip = 1 :: else fi;
	           if :: rem > 0 -> rskip = 1 :: else fi
	:: else ->
		if
		:: lease > 0 -> lease--;
			if
			:: lease == 0 ->
				lskip = 0;
				if
#ifdef BUG_NO_GUARD
				:: paused
#endif
#ifdef HOLE_GUARD_AT_DEADLINE
				:: paused -> dying = w          /* it starts to kill only now */
#endif
				:: else -> w = 0; paused = 0    /* the agent, or its guard */
				fi
			:: else
			fi
		:: else
		fi;
		if
		:: rem > 0 -> rem--; if :: rem == 0 -> forget_renewal() :: else fi
		:: else
		fi
	fi
}

inline learn(l, upto)           /* l learns that its majority has these, and applies them */
{
	j = ci[l] + 1;
	do
	:: j <= upto ->
		if
		:: KIND(E(l, j)) == EPOCH -> epochDone = 1
		:: KIND(E(l, j)) == PROOF -> promoted = 1
		:: KIND(E(l, j)) == TICK ->
			if
			:: att[l] == j ->
				if
#ifdef BUG_GRANT_AFTER_EPOCH
				:: 1 -> grant = 1
#else
				:: !EAP(l, j) -> grant = 1
				:: else
#endif
				fi;
				att[l] = 0; got[l] = 0
			:: else
			fi
		fi;
		j++
	:: else -> break
	od;
	ci[l] = MAX(ci[l], upto);
	j = 0
}

inline replicate(l, f)          /* one entry, or only the term; and l learns the answer: learning
                                 * early loses nothing, all that follows may still come late */
{
	if
	:: vterm[f] < vterm[l] -> vterm[f] = vterm[l]; stepdown(f)
	:: else
	fi;
	i = 1;
	do
	:: i <= ln[l] && i <= ln[f] && E(l, i) == E(f, i) -> i++
	:: else -> break
	od;
	if
	:: i <= ln[l] ->
		if
		:: i <= ln[f] ->        /* conflict: cut, then write */
			j = i;
			do
			:: j <= ln[f] -> E(f, j) = 0; j++
			:: else -> break
			od
		:: else
		fi;
		ln[f] = i; E(f, i) = E(l, i);
		if
#ifdef HOLE_FIRST_REACHED
		:: KIND(E(f, i)) == TICK && i > hi[f] -> newtick(f)
#else
		:: KIND(E(f, i)) == TICK -> newtick(f)
#endif
		:: else
		fi;
#ifdef HOLE_FIRST_REACHED
		hi[f] = MAX(hi[f], i);
#endif
		flags(f);
		if
		:: TERM(E(l, i)) == vterm[l] && i > ci[l] -> learn(l, i)
		:: else
		fi
	:: else
	fi;
	i = 0; j = 0
}

inline elect(c, v)
{
	maxterm++; vterm[c] = maxterm; vterm[v] = maxterm;
	stepdown(c); stepdown(v);
	lead[c] = 1;
#ifdef BUG_NEW_LEADER_FORGETS
	held[c] = 0
#endif
#ifdef HOLE_REELECTED
	held[c] = tickT[c]
#endif
#ifdef SAFE_FROM_ELECTION
	held[c] = HOLD
#endif
}

inline receive(l)               /* believed leader l receives the renewal */
{
	got[l] = 1; held[l] = HOLD;
#ifdef BUG_EARLIER_TICK
	if
	:: ln[l] > 0 && KIND(E(l, ln[l])) == TICK && TERM(E(l, ln[l])) == vterm[l] ->
		if
		:: ci[l] >= ln[l] -> if :: !hasE[l] -> grant = 1 :: else fi
		:: else -> att[l] = ln[l]
		fi
	:: else
	fi
#endif
}

#ifdef BUG_NO_EPOCH
#define RAISED(l) (ci[l] > 0)
#define FENCEORDER 1
#else
#define RAISED(l) (ci[l] > 0 && EAP(l, ci[l]))
#define FENCEORDER epochDone
#endif
#ifdef BUG_GRANT_AFTER_EPOCH
#define OPEN(l) 1
#else
#define OPEN(l) (!hasE[l])
#endif

#ifdef BUG_RESTART_FORGETS
#define RESTARTS(l) :: d_step { held[l] > 0 -> stepdown(l); held[l] = 0 }
#else
#ifdef RESTART_FOLLOWERS
#define RESTARTS(l) :: d_step { lead[l] || held[l] < HOLD -> stepdown(l); held[l] = HOLD }
#else                           /* of a follower it would only make it wait longer */
#define RESTARTS(l) :: d_step { lead[l] -> stepdown(l); held[l] = HOLD }
#endif
#endif

#define LEADER(l) \
	:: d_step { lead[l] && rem > 0 && !got[l] && !grant && OPEN(l) -> receive(l) } \
	:: d_step { lead[l] && ln[l] < MAXE && ((got[l] && att[l] == 0 && OPEN(l)) || LASTTERM(l) != vterm[l]) -> append(l, TICK) } \
	:: d_step { lead[l] && ln[l] < MAXE && ci[l] > 0 && !hasE[l] -> append(l, EPOCH) } \
	:: d_step { lead[l] && ln[l] < MAXE && RAISED(l) && !hasP[l] && (held[l] == 0 || conf) -> append(l, PROOF) } \
	RESTARTS(l)
#define PAIR(l, f) \
	:: d_step { lead[l] && vterm[f] <= vterm[l] && (vterm[f] < vterm[l] || ln[f] < ln[l] || LASTTERM(f) != LASTTERM(l)) -> replicate(l, f) } \
	:: d_step { maxterm < MAXT && UPTODATE(l, f) -> elect(l, f) }

active proctype world()
{
	d_step { lead[0] = 1 };
	do
	LEADER(0)
	LEADER(1)
	LEADER(2)
	PAIR(0, 1)
	PAIR(0, 2)
	PAIR(1, 0)
	PAIR(1, 2)
	PAIR(2, 0)
	PAIR(2, 1)
	/* the agent of P.  One renewal at a time: a lease rests on one renewal, the others can only
	 * make coordinators wait longer */
	:: d_step { !paused && !fenced && rem == 0 -> rem = TTL }
	:: d_step { grant && rem > 0 && !paused && !fenced ->
#ifdef BUG_LEASE_FROM_RECEIPT
		lease = TTL; lskip = 0;
#else
		if
		:: rem >= lease -> lease = rem; lskip = rskip
		:: else
		fi;
#endif
		w = 1; forget_renewal() }
	:: d_step { FENCEORDER && !fenced && !paused -> w = 0; lease = 0; lskip = 0; conf = 1;
#ifndef BUG_NO_EPOCH
		fenced = 1; forget_renewal()
#endif
		}
	:: d_step { w && !paused -> paused = 1 }
	:: d_step { paused -> paused = 0; dying = 0; if :: lease == 0 -> w = 0 :: else fi }
	:: d_step { w || rem > 0 -> w = 0; lease = 0; lskip = 0; paused = 0; dying = 0;  /* restart */
#ifdef HOLE_RENEWAL_ID_REUSED
		rem = 0; rskip = 0      /* answers to what it sent before will fit what it sends next */
#else
		forget_renewal()
#endif
		}
#ifdef HOLE_TTL_LOWERED
	:: d_step { !lowered -> lowered = 1 }
#endif
	:: d_step { time_passes(0) }
	:: d_step { (lease > 0 || rem > 0) && (lease == 0 || !lskip) && (rem == 0 || !rskip) -> time_passes(1) }
	od
}
#ifdef SANITY                   /* another coordinator leads a later term and takes over by expiry */
#define BAD (promoted && !conf && lead[1] && vterm[1] > 1 && TERM(E(1, 1)) == 1)
#else
#define BAD (promoted && w)
#endif
#endif

/* ------------------------------------------------------------------------------------------ */
#ifdef MODEL_FAILSAFE
/* Members 0 (first primary), 1, 2 (promotable only once acknowledged).  The coordinators are one
 * oracle that does what MODEL_LEASE proves of them: it grants only to the holder of the newest
 * epoch, and judges a lease expired only when every granted one has ended. */
#ifndef EMAX
#define EMAX 3
#endif
#ifdef HOLE_PROMISE_NO_MARGIN
#define PROMISE TTL
#else
#define PROMISE (TTL + M)
#endif
#define BIT(a) (1 << (a))

byte gl[3], ext[3], ask[3];     /* agent timers: granted lease, extension, running round */
bit  gs[3], es[3], as[3];       /* its clock stood still once during that */
byte am[3], an[3];              /* the round: asked, answered */
byte xm[3];                     /* who promised the running extension */
byte pr[3];                     /* promise given: durable */
byte je[3] = 1;                 /* epoch: durable */
bit  prim[3];                   /* role: durable */
byte list[3];                   /* durable */
byte seen[3] = 1;               /* ghost: highest epoch ever acted on */
byte epoch = 1;
byte to[4];                     /* to[e]: promote order of epoch e, member + 1 */
byte ol[4];                     /* the list that it carries */
byte PM;                        /* replicated: promotable on the mere end of a lease */
bit  up[3];                     /* replicated: was chosen, and not proved to have stopped since */
bit  oe[3];                     /* replicated: proved by the end of its lease alone */
bit  dn = 1;                    /* replicated: the epoch's promotion was reported as done */
byte akm, ake;                  /* an acknowledgement on its way: member + 1, epoch */
bit  lower;                     /* an agent acted on a lower epoch */

#define HELD(a) (gl[a] > 0 || ext[a] > 0)
#define W(a) (prim[a] && HELD(a))
#define OTHER1(a) ((a) == 0 -> 1 : 0)
#define OTHER2(a) ((a) == 2 -> 1 : 2)

inline drop_ask(a)
{
	ask[a] = 0; as[a] = 0; am[a] = 0; an[a] = 0
}
inline drop_lease(a)
{
	gl[a] = 0; gs[a] = 0; ext[a] = 0; es[a] = 0; xm[a] = 0; drop_ask(a)
}

inline age(a, slow)
{
	if
	:: slow ->
		if :: gl[a] > 0 -> gs[a] = 1 :: else fi;
		if :: ext[a] > 0 -> es[a] = 1 :: else fi;
		if :: ask[a] > 0 -> as[a] = 1 :: else fi
	:: else ->
		DEC(gl[a]); DEC(ext[a]); DEC(ask[a]); DEC(pr[a]);
		if :: gl[a] == 0 -> gs[a] = 0 :: else fi;
		if :: ext[a] == 0 -> es[a] = 0; xm[a] = 0 :: else fi;
		if :: ask[a] == 0 -> drop_ask(a) :: else fi;
#ifndef EXTEND_AFTER_EXPIRY
		if :: !HELD(a) -> drop_ask(a) :: else fi
#endif
	fi
}
#define CANSLOW(a) (HELD(a) && !gs[a] && !es[a] && !as[a])

#ifdef HOLE_ACK_IN_EXTENSION
#define MAYACK(a, m) 1
#else
#define MAYACK(a, m) (ext[a] == 0 || (xm[a] & BIT(m)))
#endif
#ifdef BUG_PROMISE_TO_LOWER
#define MAYPROMISE(m, a) 1
#else
#define MAYPROMISE(m, a) (je[m] <= je[a] && !(prim[m] && je[m] == je[a]))
#endif
#ifdef BUG_PROMISE_IGNORED
#define FREE(m) 1
#else
#define FREE(m) (pr[m] == 0)
#endif
#ifdef BUG_SILENT_MEMBER
#define ALLANSWERED(a) ((am[a] & ~an[a] & 7) == 0 || (am[a] & ~an[a] & 7) == 2 || (am[a] & ~an[a] & 7) == 4 || (am[a] & ~an[a] & 7) == 1)
#else
#define ALLANSWERED(a) (an[a] == am[a])
#endif
#ifdef HOLE_ACK_OLD_EPOCH
#define ACKCOUNTS 1
#else
#define ACKCOUNTS (ake == epoch)
#endif

/* Expiry is judged of every other member.  agent-confirmed is an agent that took the fence order:
 * its lease is dropped, which is the same condition */
#define AGENT(a) \
	:: d_step { prim[a] && je[a] == epoch && gl[a] < TTL && (epoch == 1 || to[epoch] == a + 1) -> gl[a] = TTL; gs[a] = 0 } \
	:: d_step { epoch > je[a] && to[epoch] != a + 1 -> je[a] = epoch; seen[a] = epoch; prim[a] = 0; drop_lease(a) } \
	:: d_step { prim[a] && HOLDS(a) && ask[a] < TTL && list[a] != 0 -> drop_ask(a); ask[a] = TTL; am[a] = list[a] } \
	:: d_step { prim[a] && HOLDS(a) && ask[a] > 0 && ALLANSWERED(a) -> \
		if :: EXTVAL(a) >= ext[a] -> ext[a] = EXTVAL(a); es[a] = as[a]; xm[a] = an[a] :: else fi; drop_ask(a) } \
	:: d_step { prim[a] && HOLDS(a) && list[a] == 0 && ext[a] < TTL -> ext[a] = TTL; es[a] = 0; xm[a] = 0 } \
	:: d_step { HELD(a) || pr[a] > 0 -> drop_lease(a); RESTARTED(a) }
#ifdef EXTEND_AFTER_EXPIRY
#define HOLDS(a) 1
#else
#define HOLDS(a) HELD(a)
#endif
#ifdef BUG_EXTENSION_FROM_ANSWER
#define EXTVAL(a) TTL
#else
#define EXTVAL(a) ask[a]
#endif
#ifdef BUG_NO_JOURNAL
#define RESTARTED(a) pr[a] = 0; je[a] = 1
#else
#ifdef BUG_PROMISE_NOT_JOURNALED
#define RESTARTED(a) pr[a] = 0
#else
#ifdef HOLE_LIST_NOT_JOURNALED
#define RESTARTED(a) list[a] = 0; pr[a] = (pr[a] > 0 -> PROMISE : 0)
#else
#define RESTARTED(a) pr[a] = (pr[a] > 0 -> PROMISE : 0)
#endif
#endif
#endif
#ifdef HOLE_NEW_PRIMARY_LIST
#define TAKELIST(m, e)
#else
#define TAKELIST(m, e) list[m] = ol[e];
#endif
#define PROMISES(m, a) \
	:: d_step { ask[a] > 0 && (am[a] & BIT(m)) && !(an[a] & BIT(m)) && MAYPROMISE(m, a) -> \
		pr[m] = PROMISE; an[a] = an[a] | BIT(m) }
#define ACKS(a, m) \
	:: d_step { akm == 0 && dn && prim[a] && je[a] == epoch && !(PM & BIT(m)) && MAYACK(a, m) -> \
		list[a] = list[a] | BIT(m); akm = m + 1; ake = je[a]; \
		ACKDROPS(a) }
#ifdef HOLE_ACK_IN_EXTENSION
#define ACKDROPS(a) skip
#else
#define ACKDROPS(a) drop_ask(a)
#endif
#ifdef BUG_NO_ACK
#define ADD(m) :: d_step { !(PM & BIT(m)) && !prim[m] -> PM = PM | BIT(m) }
#else
#define ADD(m)
#endif
/* Whoever was chosen is proved to have stopped before the next one is: by the end of its lease, or by its agent's own word.
 * Where an end alone is known, only those may follow whom that agent had to ask.  One that was chosen stays among them
 * until its promotion is done; the list that it is given leaves it out. */
#define PROVE(x) \
	:: d_step { epoch > 1 && to[epoch] == 0 && up[x] && gl[x] == 0 -> up[x] = 0; oe[x] = 1 } \
	:: d_step { je[x] == epoch && !prim[x] && to[epoch] != x + 1 && (up[x] || oe[x]) -> up[x] = 0; oe[x] = 0 }
#ifdef HOLE_EXPIRED_FORGOTTEN
#define FORGETS oe[0] = 0; oe[1] = 0; oe[2] = 0
#else
#define FORGETS skip
#endif
#define DONE(m) \
	:: d_step { to[epoch] == m + 1 && je[m] == epoch && prim[m] && !dn -> dn = 1; PM = ol[epoch]; \
		oe[0] = 0; oe[1] = 0; oe[2] = 0 }
#define PROMOTE(m, e) \
	:: d_step { epoch == e && to[e] == 0 && !up[0] && !up[1] && !up[2] && \
		((PM & BIT(m)) || (!oe[OTHER1(m)] && !oe[OTHER2(m)])) -> \
		to[e] = m + 1; ol[e] = PM & ~BIT(m); up[m] = 1; FORGETS } \
	:: d_step { to[e] == m + 1 && je[m] <= e && !(prim[m] && je[m] == e) && FREE(m) -> \
		if :: e < seen[m] -> lower = 1 :: else -> seen[m] = e fi; \
		je[m] = e; prim[m] = 1; TAKELIST(m, e) drop_lease(m) }

active proctype world()
{
	d_step { prim[0] = 1; list[0] = BIT(1); PM = BIT(1); up[0] = 1 };
	do
	AGENT(0)
	AGENT(1)
	AGENT(2)
	PROMISES(1, 0)
	PROMISES(2, 0)
	PROMISES(0, 1)
	PROMISES(2, 1)
	PROMISES(0, 2)
	PROMISES(1, 2)
	ACKS(0, 2)
	ACKS(1, 0)
	ACKS(1, 2)
	ACKS(2, 0)
	ACKS(2, 1)
	ADD(2)
	PROVE(0)
	PROVE(1)
	PROVE(2)
	DONE(0)
	DONE(1)
	DONE(2)
	PROMOTE(0, 2)
	PROMOTE(1, 2)
	PROMOTE(2, 2)
	PROMOTE(0, 3)
	PROMOTE(1, 3)
	PROMOTE(2, 3)
	:: d_step { epoch < EMAX -> epoch++; dn = 0 }
	:: d_step { akm != 0 -> if :: ACKCOUNTS && to[epoch] != akm -> PM = PM | BIT(akm - 1) :: else fi; akm = 0; ake = 0 }
	:: d_step { age(0, 0); age(1, 0); age(2, 0) }
	:: d_step { CANSLOW(0) -> age(0, 1); age(1, 0); age(2, 0) }
	:: d_step { CANSLOW(1) -> age(0, 0); age(1, 1); age(2, 0) }
	:: d_step { CANSLOW(2) -> age(0, 0); age(1, 0); age(2, 1) }
	od
}
#ifdef SANITY
#ifdef OWN_WORD                 /* a member on no list takes over by its predecessor's own word */
#define BAD (W(2) && je[2] == 2 && !(list[0] & BIT(2)))
#else                           /* after an extension of P, S takes over */
#define BAD (W(1) && je[0] == 1 && pr[2] > 0 && je[1] == 2)
#endif
#else
#define BAD ((W(0) && W(1)) || (W(0) && W(2)) || (W(1) && W(2)) || lower)
#endif
#endif

/* ------------------------------------------------------------------------------------------ */
#ifdef MODEL_ORDERS
/* Members 0 (first primary), 1, 2; up to NO orders from one replicated counter; each order stays
 * deliverable for ever, in any order and again.  Fencing takes time: accepted, then done. */
#ifndef NO
#define NO 4
#endif
#ifndef EMAX
#define EMAX 3
#endif
#define FENCE 1
#define PROMO 2

byte ok[6], ot[6], oe[6];                       /* order n: kind, member, epoch */
bit  conf[6];                                   /* its answer 'done' reached the log */
byte n;                                         /* the counter */
byte jn[3];                                     /* durable: highest order seen */
bit  jd[3] = 1;                                 /* durable: its outcome is journaled */
byte je[3] = 1;                                 /* durable: epoch */
bit  prim[3];                                   /* durable: role */
byte seen[3] = 1;                               /* ghost */
byte ren[3], gl[3];                             /* timers: renewal on its way, lease */
bit  gr[3];                                     /* it is granted */
byte ge[3];                                     /* at this epoch */
bit  w[3];
byte epoch = 1;
byte holder = 1;                                /* member + 1 that leaders grant; 0: none */
byte cur;                                       /* the primary as last confirmed */
bit  lostP;                                     /* P's site is gone */
bit  lower;

#define ORDERED(kind, m) ((n >= 1 && ok[1] == kind && ot[1] == m && oe[1] == epoch) || \
	(n >= 2 && ok[2] == kind && ot[2] == m && oe[2] == epoch) || (n >= 3 && ok[3] == kind && ot[3] == m && oe[3] == epoch) || \
	(n >= 4 && ok[4] == kind && ot[4] == m && oe[4] == epoch) || (n >= 5 && ok[5] == kind && ot[5] == m && oe[5] == epoch))
#define CONFIRMED(m) ((ok[1] == FENCE && ot[1] == m && oe[1] == epoch && conf[1]) || \
	(ok[2] == FENCE && ot[2] == m && oe[2] == epoch && conf[2]) || (ok[3] == FENCE && ot[3] == m && oe[3] == epoch && conf[3]) || \
	(ok[4] == FENCE && ot[4] == m && oe[4] == epoch && conf[4]) || (ok[5] == FENCE && ot[5] == m && oe[5] == epoch && conf[5]))
#define EXPIRED(m) (gl[m] == 0 && !(gr[m] && ren[m] > 0))
#define PROVED(m) (CONFIRMED(m) || EXPIRED(m))
#ifdef HOLE_OLD_PRIMARY_ONLY
#define PROOFFOR(m) (PROVED(cur))
#else
#define PROOFFOR(m) ((m == 0 || PROVED(0)) && (m == 1 || PROVED(1)) && (m == 2 || PROVED(2)))
#endif

inline issue(kind, m)
{
	n++; ok[n] = kind; ot[n] = m; oe[n] = epoch
}
inline drop(a)
{
	ren[a] = 0; gr[a] = 0; ge[a] = 0
}
#ifdef BUG_LOWER_ORDER
#define TAKES(a, q) (q != jn[a])
#else
#define TAKES(a, q) (q > jn[a])
#endif
#ifdef HOLE_ANSWER_FROM_SEEN
#define REPEATED(a, q) (jn[a] == q && !conf[q])
#else
#define REPEATED(a, q) (jn[a] == q && jd[a] && !conf[q])
#endif
#ifdef BUG_GRANT_UNFENCES
#define GRANTOK(a) 1
#else
#define GRANTOK(a) (prim[a] && jd[a] && ge[a] == je[a])
#endif
#ifdef BUG_NO_JOURNAL
#define RESTARTED(a) jn[a] = 0; jd[a] = 1; je[a] = 1
#else
#define RESTARTED(a) skip
#endif
#define DELIVER(a, q) \
	:: d_step { ALIVE(a) && n >= q && ot[q] == a && TAKES(a, q) -> \
		if :: oe[q] < seen[a] -> lower = 1 :: else -> seen[a] = oe[q] fi; \
		jn[a] = q; jd[a] = 0; je[a] = oe[q] } \
	:: d_step { ALIVE(a) && n >= q && ot[q] == a && REPEATED(a, q) -> conf[q] = 1; CONFIRMS(a, q) }
#ifdef HOLE_OLD_PRIMARY_ONLY
#define CONFIRMS(a, q) if :: ok[q] == PROMO -> cur = a :: else fi
#else
#define CONFIRMS(a, q) skip
#endif
#define ALIVE(a) (a != 0 || !lostP)
#define AGENT(a) \
	:: d_step { ALIVE(a) && jn[a] > 0 && !jd[a] -> jd[a] = 1; \
		if \
		:: ok[jn[a]] == FENCE -> prim[a] = 0; w[a] = 0 \
		:: ok[jn[a]] == PROMO -> prim[a] = 1; w[a] = (gl[a] > 0) \
		fi } \
	:: d_step { ALIVE(a) && ren[a] < TTL && prim[a] -> drop(a); ren[a] = TTL; ge[a] = je[a] } \
	:: d_step { ren[a] > 0 && !gr[a] && holder == a + 1 && ge[a] == epoch -> gr[a] = 1 } \
	:: d_step { ALIVE(a) && gr[a] && ren[a] > 0 && GRANTOK(a) -> gl[a] = MAX(gl[a], ren[a]); w[a] = 1; drop(a) } \
	:: d_step { w[a] || ren[a] > 0 || gl[a] > 0 || !jd[a] -> w[a] = 0; gl[a] = 0; drop(a); RESTARTED(a) } \
	:: d_step { n < NO && epoch > 1 && holder == 0 && !EXPIRED(a) && !ORDERED(FENCE, a) -> issue(FENCE, a) } \
	:: d_step { n < NO && epoch > 1 && NOHOLDER(a) && PROOFFOR(a) -> issue(PROMO, a); holder = a + 1 }
#ifdef BUG_TWO_HOLDERS
#define NOHOLDER(a) (holder != a + 1)
#else
#define NOHOLDER(a) (holder == 0)
#endif
inline age(a)
{
	DEC(ren[a]); DEC(gl[a]);
	if :: ren[a] == 0 -> drop(a) :: else fi;
	if :: gl[a] == 0 -> w[a] = 0 :: else fi
}

active proctype world()
{
	d_step { prim[0] = 1; gl[0] = TTL; w[0] = 1 };
	do
	AGENT(0)
	AGENT(1)
	AGENT(2)
	DELIVER(0, 1)
	DELIVER(0, 2)
	DELIVER(0, 3)
	DELIVER(0, 4)
	DELIVER(0, 5)
	DELIVER(1, 1)
	DELIVER(1, 2)
	DELIVER(1, 3)
	DELIVER(1, 4)
	DELIVER(1, 5)
	DELIVER(2, 1)
	DELIVER(2, 2)
	DELIVER(2, 3)
	DELIVER(2, 4)
	DELIVER(2, 5)
	:: d_step { epoch < EMAX -> epoch++; holder = 0 }
#ifdef SANITY
	:: d_step { !lostP -> lostP = 1 }
#endif
	:: d_step { age(0); age(1); age(2) }
	od
}
#ifdef SANITY                   /* P's site is gone and S is writable */
#define BAD (lostP && w[1] && je[1] == 2)
#else
#define BAD ((w[0] && w[1]) || (w[0] && w[2]) || (w[1] && w[2]) || lower)
#endif
#endif

/* checked after every step */
never { do :: BAD -> break :: else od }
