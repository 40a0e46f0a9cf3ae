/* The ring's protocol as a Spin model: every producer step, every consumer step, a death between any
 * two of them. check.sh runs it; doc/ring_format.md names the words and transitions used here.
 *
 * What is modelled: the control words with their transitions T1..T5, lane locks that the kernel
 * drops at death, attempt numbers, refusals, half-written bytes, the two scans, the position in the
 * database, rows and position committed as one, freeing, reaping, and the next holder of a lane.
 * With HISTORIES 2 a consumer that starts is of either history, as 5.6 has it: `last` of the lanes and
 * `unsettled` lie in the file, positions in the database of each.
 * What is not: the futex (its wait is capped, so a lost wake-up costs time and nothing else), the
 * free_epoch shortcut (it only turns a scan that would fail into none), checksums, reboots.
 * Spin interleaves whole steps in one order for all. That is enough here because processes meet in
 * one word per chunk, which is only ever changed by compare-and-swap; the memory orders are the
 * business of the test under ThreadSanitizer.
 *
 * Four rules can be left out by a define, and the model must then fail: FREE_BEFORE_COMMIT frees a
 * chunk before its rows are stored, ONE_SCAN reads after a single scan, REAP_UNLOCKED takes a chunk
 * without holding its lane, TRUST_UNSETTLED lets another history go by the lanes of a consumer that
 * died in a commit.
 *
 * One `atomic` is one step: at most one access to a word that another process may change, plus local
 * arithmetic. Locals are set back to 0 where their value is no longer needed, so that states which
 * differ only in leftovers count as one.
 */
#ifndef LANES
#define LANES 2    /* producers, each with a lane of its own */
#endif
#ifndef CHUNKS
#define CHUNKS 2
#endif
#ifndef ROOM
#define ROOM 1     /* records that fit into a chunk */
#endif
#ifndef TRIES
#define TRIES 2    /* submits per lane, over all its holders */
#endif
#ifndef PRODUCER_DEATHS
#define PRODUCER_DEATHS 2
#endif
#ifndef CONSUMER_DEATHS
#define CONSUMER_DEATHS 1
#endif
#ifndef HISTORIES
#define HISTORIES 1
#endif

mtype = { FREE, OWNED, FULL };

/* ---- what lies in the shared file -------------------------------------------------------- */
typedef Ctl { mtype state; byte lane, gen, used }            /* one 64-bit word in the file */
typedef Slot { byte lane, seq, gen; bit whole }              /* a record; whole = checksum right */
typedef Data { Slot at[ROOM] }
Ctl ctl[CHUNKS];
Data data[CHUNKS];
byte seq[LANES];       /* attempts so far */
byte refused[LANES];   /* drop_full */
#if HISTORIES > 1
byte last[LANES];      /* last_sequence, behind each commit */
bit owner, unsettled;
#endif

/* ---- what the kernel holds ----------------------------------------------------------------- */
bit locked[LANES];

/* ---- what lies in the database ------------------------------------------------------------- */
typedef Position { byte gen, used }
typedef Database { Position at[CHUNKS] }
Database stored[HISTORIES];
short rows;            /* set of records, one bit each, of all histories: see BIT */

/* ---- for the assertions only --------------------------------------------------------------- */
short accepted;        /* set of records whose T2 happened: their submit may have returned OK */
byte producer_deaths, consumer_deaths;
byte working = LANES;  /* producers with tries left */

#define BIT(l, s) (1 << ((l) * TRIES + (s) - 1))
/* All records of lane l numbered s or higher. */
#define FROM(l, s) ((((1 << TRIES) - 1) & ~((1 << ((s) - 1)) - 1)) << ((l) * TRIES))
/* The compare of a compare-and-swap: the whole word must still be what the holder remembers. */
#define IS(c, S, l, g, u) \
  (ctl[c].state == S && ctl[c].lane == l && ctl[c].gen == g && ctl[c].used == u)

/* A producer may die instead of its next step. The kernel drops the lane's lock; what was in
 * registers and on the stack is gone; a next holder attaches to the same lane. */
#define OR_DIES                                                      \
  :: atomic { producer_deaths < PRODUCER_DEATHS -> producer_deaths++; \
              locked[l] = 0; c = 0; g = 0; u = 0; i = 0; have = 0; goto attach }

inline set_free(k) { ctl[k].state = FREE; ctl[k].lane = 0; ctl[k].gen++; ctl[k].used = 0 }

proctype Producer(byte l) {
  byte c, g, u, i; /* the handle: chunk and the word's generation and used; i runs over chunks */
  bit have;        /* the handle holds a chunk */
attach:
  atomic { !locked[l] -> locked[l] = 1 }
  do /* adopt what the last holder of this lane left behind */
  :: atomic {
       i < CHUNKS ->
       if
       :: ctl[i].state == OWNED && ctl[i].lane == l ->
          assert(!have); /* I3: a lane owns at most one chunk, whatever killed its holders */
          c = i; g = ctl[i].gen; u = ctl[i].used; have = 1
       :: else
       fi;
       i++ }
  :: atomic { i == CHUNKS -> i = 0; break }
  OR_DIES
  od;
submit:
  if
  :: atomic { seq[l] == TRIES -> locked[l] = 0; working--; c = 0; g = 0; u = 0; have = 0; goto done }
  :: atomic { seq[l] < TRIES -> seq[l]++ } /* (a) the attempt, before anything else */
  OR_DIES
  fi;
  if
  :: atomic {
       have && u == ROOM ->
       /* I1: with the lane locked nobody else may move this word. */
       assert(IS(c, OWNED, l, g, u));
       ctl[c].state = FULL; /* T3 seal (e), before T1 (f): that order is half of "in order" */
       c = 0; g = 0; u = 0; have = 0 }
  :: atomic { !(have && u == ROOM) -> skip }
  OR_DIES
  fi;
  do /* T1 claim (f): the lowest free chunk */
  :: atomic {
       !have && i < CHUNKS ->
       if
       :: ctl[i].state == FREE ->
          ctl[i].state = OWNED; ctl[i].lane = l; ctl[i].used = 0;
          c = i; g = ctl[i].gen; u = 0; have = 1
       :: else
       fi;
       i++ }
  :: atomic { !have && i == CHUNKS -> refused[l]++; i = 0; goto submit } /* Refused, and counted */
  :: atomic { have -> i = 0; break }
  OR_DIES
  od;
  if /* (b) bytes at or above `used`, first half: the checksum does not fit yet */
  :: atomic { data[c].at[u].whole = 0; data[c].at[u].lane = l; data[c].at[u].seq = seq[l] }
  OR_DIES
  fi;
  if /* (b) second half */
  :: atomic { data[c].at[u].gen = g; data[c].at[u].whole = 1 }
  OR_DIES
  fi;
  if
  :: atomic {
       assert(IS(c, OWNED, l, g, u)); /* I1, as at T3 */
       ctl[c].used = u + 1;           /* T2 commit (c): from here on the record is accepted */
       u++;
       accepted = accepted | BIT(l, seq[l]) }
  OR_DIES
  fi;
  goto submit;
done:
  skip
}

/* The consumer may die instead of its next step; the database keeps what was committed. */
#define OR_CDIES                                                                       \
  :: atomic { consumer_deaths < CONSUMER_DEATHS -> consumer_deaths++;                  \
              if :: reaping > 0 -> locked[reaping - 1] = 0 :: else fi; reaping = 0; goto start }

/* T4 free, of each chunk that is FULL and read to its end by `position`. */
#define T4_FREE(position)                                                              \
  do                                                                                   \
  :: atomic { i < CHUNKS ->                                                            \
       if :: ctl[i].state == FULL && ctl[i].used == position ->                        \
             set_free(i); read[i] = 0; next[i] = 0                                     \
          :: else fi; i++ }                                                            \
  :: atomic { i == CHUNKS -> i = 0; break }                                            \
  OR_CDIES                                                                             \
  od

#ifdef REAP_UNLOCKED
#define MAY_REAP(l) true
#else
#define MAY_REAP(l) (!locked[l])
#endif

proctype Consumer() {
  byte read[CHUNKS];  /* position in memory: everything below is committed */
  byte next[CHUNKS];  /* position after the batch now being built */
  byte gen[CHUNKS];   /* generation that `next` belongs to */
  byte limit[LANES];  /* largest first-unread attempt number seen by scan A */
  bit seen[CHUNKS];   /* kept of scan B */
  byte i, best, edge;
  byte reaping;       /* 1 + the lane whose lock is held for T5 */
  short batch;        /* records read and not yet committed */
  bit last_pass, found;
  bit own;            /* the history of this consumer */
start:
#if HISTORIES > 1
  if /* without `unsettled` another history may come; with it the file waits for its own */
#ifdef TRUST_UNSETTLED
  :: atomic { true -> own = !owner }
#else
  :: atomic { !unsettled -> own = !owner }
#endif
  :: atomic { own = owner; goto known }
  fi;
  atomic { /* by the ring: stored up to the last record that its lane says was delivered */
    i = 0; best = 0;
    do
    :: i < CHUNKS ->
       if
       :: ctl[i].state != FREE ->
          stored[own].at[i].gen = ctl[i].gen; stored[own].at[i].used = 0; best = 0;
          do
          :: best < ctl[i].used && data[i].at[best].seq <= last[data[i].at[best].lane] ->
             best++; stored[own].at[i].used = best
          :: else -> best = 0; break
          od
       :: else
       fi;
       i++
    :: else -> i = 0; break
    od }
  if
  :: atomic { owner = own } /* behind the commit of the positions */
  OR_CDIES
  fi;
known:
#endif
  atomic { /* one step: nobody but a consumer changes a generation, and there is one consumer */
    best = 0; edge = 0; reaping = 0; batch = 0; last_pass = 0; found = 0;
    i = 0; do :: i < LANES -> limit[i] = 0; i++ :: else -> break od;
    i = 0;
    do
    :: i < CHUNKS ->
       read[i] = (stored[own].at[i].gen == ctl[i].gen -> stored[own].at[i].used : 0);
       /* A position never runs ahead of what producers committed. */
       assert(read[i] <= ctl[i].used);
       next[i] = read[i]; gen[i] = 0; seen[i] = 0; i++
    :: else -> i = 0; break
    od;
#if HISTORIES > 1
    /* The lanes as the positions have them: behind what was committed, nobody else writes them. */
    best = 0;
    do
    :: best < LANES * TRIES ->
       if :: ((rows >> best) & 1) && last[best / TRIES] < best % TRIES + 1 ->
             last[best / TRIES] = best % TRIES + 1 :: else fi;
       best++
    :: else -> best = 0; break
    od;
    unsettled = 0
#endif
  }
pass:
  atomic { last_pass = (working == 0); found = 0 }
#ifndef ONE_SCAN
  do /* scan A. A record below `used` cannot change before this process frees it: one step. */
  :: atomic {
       i < CHUNKS ->
       if
       :: ctl[i].state != FREE && ctl[i].used > read[i] &&
          data[i].at[read[i]].seq > limit[ctl[i].lane] ->
          limit[ctl[i].lane] = data[i].at[read[i]].seq
       :: else
       fi;
       i++ }
  :: atomic { i == CHUNKS -> i = 0; break }
  OR_CDIES
  od;
#endif
  do /* scan B: keep what is not later in its lane than what scan A saw (g) */
  :: atomic {
       i < CHUNKS ->
       seen[i] = 0;
       if
       :: ctl[i].state != FREE && ctl[i].used > read[i] ->
#ifdef ONE_SCAN
          seen[i] = 1;
#else
          seen[i] = (data[i].at[read[i]].seq <= limit[ctl[i].lane]);
#endif
          found = found | seen[i]
       :: else
       fi;
       i++ }
  :: atomic {
       i == CHUNKS ->
       i = 0; do :: i < LANES -> limit[i] = 0; i++ :: else -> break od;
       i = 0; break }
  OR_CDIES
  od;
  do /* read chunk by chunk, by (lane, attempt number) */
  :: atomic {
       best == 0 ->
       i = 0;
       do
       :: i < CHUNKS ->
          if
          :: seen[i] && (best == 0 || ctl[i].lane < ctl[best - 1].lane ||
               (ctl[i].lane == ctl[best - 1].lane &&
                data[i].at[read[i]].seq < data[best - 1].at[read[best - 1]].seq)) -> best = i + 1
          :: else
          fi;
          i++
       :: else -> i = 0; break
       od;
       if
       :: best == 0 -> break
       :: best > 0 -> edge = ctl[best - 1].used; gen[best - 1] = ctl[best - 1].gen
       :: best > 0 -> /* the batch is as large as it may be: the rest waits for the next pass */
          best = 0; i = 0; do :: i < CHUNKS -> seen[i] = 0; i++ :: else -> break od; i = 0; break
       fi }
  :: atomic {
       best > 0 ->
       best--; i = read[best];
       do
       :: i < edge ->
          /* I2, I4: what lies below `used` is whole, of this use of the chunk, of this lane. */
          assert(data[best].at[i].whole);
          assert(data[best].at[i].gen == gen[best] && data[best].at[i].lane == ctl[best].lane);
          /* In order and once: neither this record nor a later one of its lane was read before. */
          assert(((rows | batch) & FROM(data[best].at[i].lane, data[best].at[i].seq)) == 0);
          batch = batch | BIT(data[best].at[i].lane, data[best].at[i].seq);
          i++
       :: else -> i = 0; break
       od;
       next[best] = edge; seen[best] = 0; best = 0; edge = 0 }
  OR_CDIES
  od;
#ifdef FREE_BEFORE_COMMIT
  T4_FREE(next[i]);
#endif
#if HISTORIES > 1
  if
  :: atomic { unsettled = 1 }
  OR_CDIES
  fi;
#endif
  if
  :: atomic { /* COMMIT: rows and positions move together */
       assert((batch & ~accepted) == 0); /* nothing is stored that no producer committed */
       rows = rows | batch; batch = 0;
       i = 0;
       do
       :: i < CHUNKS ->
          if
          :: next[i] != read[i] ->
             stored[own].at[i].gen = gen[i]; stored[own].at[i].used = next[i]; read[i] = next[i]
          :: else
          fi;
          gen[i] = 0; i++
       :: else -> i = 0; break
       od }
  OR_CDIES
  fi;
#if HISTORIES > 1
  do /* the lanes say what was committed, one after the other */
  :: atomic {
       i < LANES ->
       best = TRIES;
       do
       :: best > 0 && !((rows >> (i * TRIES + best - 1)) & 1) -> best--
       :: else -> break
       od;
       last[i] = best; best = 0; i++ }
  :: atomic { i == LANES -> i = 0; unsettled = 0; break }
  OR_CDIES
  od;
#endif
  T4_FREE(read[i]);
  do /* now and then: reap chunks whose holder is gone and that are read to their end */
  :: atomic {
       i < CHUNKS && reaping == 0 && ctl[i].state == OWNED && ctl[i].used == read[i] &&
       MAY_REAP(ctl[i].lane) -> locked[ctl[i].lane] = 1; reaping = ctl[i].lane + 1 }
  :: atomic {
       reaping > 0 ->
       if
       :: ctl[i].state == OWNED && ctl[i].lane == reaping - 1 && ctl[i].used == read[i] ->
          set_free(i); read[i] = 0; next[i] = 0 /* T5 */
       :: else
       fi;
       locked[reaping - 1] = 0; reaping = 0; i++ }
  :: atomic { i < CHUNKS && reaping == 0 -> i++ }
  :: atomic { i == CHUNKS -> i = 0; break }
  OR_CDIES
  od;
  if
  :: atomic { !(last_pass && !found) -> goto pass }
  :: atomic { last_pass && !found ->
       /* Quiet: each accepted record is a row, and there are no other rows. */
       assert(rows == accepted);
       /* The sums: attempts = stored + refused + torn, and torn is at most one for each death. */
       i = 0; best = 0;
       do
       :: i < LANES * TRIES -> best = best + ((rows >> i) & 1); i++
       :: else -> break
       od;
       i = 0; edge = 0;
       do
       :: i < LANES -> edge = edge + seq[i]; best = best + refused[i]; i++
       :: else -> break
       od;
       assert(best <= edge && edge - best <= producer_deaths) }
  fi
}

init {
  atomic {
    byte k;
    do :: k < CHUNKS -> ctl[k].state = FREE; k++ :: else -> break od;
    k = 0;
    do :: k < LANES -> run Producer(k); k++ :: else -> break od;
    run Consumer() }
}
