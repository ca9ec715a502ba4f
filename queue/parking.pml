/*
 * The parking protocol of package queue, for spin: two producers (of two pushes and one), a consumer,
 * a borrower of the consumer token, a caller of Wake and a caller of Close on
 * a ring of two slots. Promela interleaves single statements, as Go's
 * sequentially consistent atomics do; each read-modify-write is one d_step,
 * and names are those of the Go code.
 *
 * Check every interleaving, in a directory of its own:
 *
 *	spin -a parking.pml && gcc -O2 -o pan pan.c && ./pan -a
 *
 * It must end with "errors: 0". What is checked:
 *   - assertions: one holder of the token at a time; the semaphore never
 *     holds two wake-ups; an element is taken once, in order, and only after
 *     its publication; when Wait returns false everything accepted was taken;
 *     a Wake is answered, or at the end waits for the Wait that will.
 *   - the claim "ends": every run ends, with Wait returning false. There is
 *     no loop without progress in the model and no fairness assumed, so a lost
 *     wake-up (all others done, the consumer asleep for ever) and a consumer
 *     that spins both violate it.
 *
 * That the check can fail is to be seen by planting a mistake: -DBUG=n with n
 *   1  Wait parks without looking again after announcing it
 *   2  Release puts the token down without looking again
 *   3  Release ignores a Wake that came while the token was out
 *   4  a Wake is overwritten: Wait announces parking by a plain store
 *   5  a producer looks at state before it publishes
 *   6  Close wakes nobody
 *   7  Wait ends on closed and nothing published, ignoring pushes in flight
 *   8  a borrower takes the token of a consumer that is awake
 * for example: spin -DBUG=1 -a parking.pml && gcc -O2 -o pan pan.c && ./pan -a
 * Each of them must end with "errors: 1".
 */

#ifndef BUG
#define BUG 0
#endif

#define SLOTS 2
#define TOTAL 3 /* pushes tried by all producers */

#define AWAKE 0
#define PARKED 1
#define NUDGED 2
#define BORROWED 3

byte state = AWAKE;
byte sema;               /* wake-ups in the channel */
byte tail, head;         /* positions, never wrapping here */
bool closed;             /* the bit in tail */
bool published[TOTAL+1]; /* by position: the sequence number of its lap */

/* What the assertions speak about; no part of the protocol. */
byte holders = 1;        /* of the consumer token */
byte accepted, taken;
bool owed;               /* a Wake that no Wait has answered */
bool finished;           /* Wait returned false */
byte running = 6;
bool over;

#if BUG == 7
#define ended(pos) (closed)
#else
#define ended(pos) (closed && tail == pos)
#endif
#define ready(pos) (published[pos] || ended(pos))

inline send() {
	d_step {
		assert(sema == 0);
		sema++
	}
}

/* unpark after a load of state that found it parked. */
inline unpark() {
	if
	:: d_step { state == PARKED -> state = AWAKE }; send()
	:: else
	fi
}

inline drain() {
	n = 0;
	do
	:: published[head + n] -> n++
	:: else -> break
	od;
	assert(holders == 1);
	d_step {
		assert(taken == head);
		assert(head + n <= tail);
		taken = taken + n;
		head = head + n;
		n = 0
	}
}

proctype producer(byte pushes) {
	byte pos;
	bool sawParked;
	do
	:: pushes == 0 -> break
	/* The loads and the compare-and-swap that follows them: a failed one only
	   repeats the loads. */
	:: d_step {
		pushes > 0 && !closed && tail - head < SLOTS ->
		pushes--;
		pos = tail;
		tail++
	   };
#if BUG == 5
		sawParked = (state == PARKED);
#endif
		d_step { published[pos] = true; accepted++; pos = 0 };
#if BUG != 5
		sawParked = (state == PARKED);
#endif
		if
		:: sawParked -> sawParked = false; unpark()
		:: else
		fi
	/* Full or closed: refused. */
	:: d_step { pushes > 0 && (closed || tail - head == SLOTS) -> pushes-- }
	od;
	running--
}

proctype consumer() {
	byte seen, n;
wait:
	/* Answer Wake. */
	if
	:: d_step { state == NUDGED -> state = AWAKE; owed = false }; goto drained
	:: else
	fi;
	seen = head;
	if
	:: published[seen] -> goto drained
	:: else
	fi;
	if
	:: ended(seen) -> goto stop
	:: else
	fi;
	/* Announce. */
#if BUG == 4
	d_step { state = PARKED; holders-- };
#else
	if
	:: d_step { state == AWAKE -> state = PARKED; holders-- }
	:: else -> goto wait
	fi;
#endif
#if BUG != 1
	/* Look again. */
	if
	:: ready(seen) ->
		if
		:: d_step { state == PARKED -> state = AWAKE; holders++ }; goto wait
		:: else
		fi
	:: else
	fi;
#endif
	/* Park. */
	d_step { sema > 0 -> sema--; holders++; assert(holders == 1); seen = 0 };
	goto wait;
drained:
	drain();
	goto wait;
stop:
	assert(holders == 1);
	d_step {
		assert(taken == tail);
		finished = true;
		seen = 0;
		running--
	}
}

/* A goroutine that drains in the consumer's place if it finds it asleep. */
proctype borrower() {
	byte seen, n;
	if
	:: d_step {
#if BUG == 8
		(state == PARKED || state == AWAKE) ->
#else
		state == PARKED ->
#endif
		state = BORROWED;
		holders++;
		assert(holders == 1)
	   };
		if
		:: drain()
		:: skip /* or leaves it all to the consumer */
		fi;
		seen = head;
		if
		:: d_step { state == BORROWED -> state = PARKED; holders-- };
			if
			:: BUG != 2 && ready(seen) -> unpark()
			:: else
			fi
#if BUG == 3
		:: d_step { state == NUDGED -> state = PARKED; holders-- }
#else
		:: d_step { state == NUDGED -> holders-- }; send()
#endif
		fi
	:: else -> skip /* TryAcquire returned false */
	fi;
	running--
}

proctype waker() {
	bool wasParked;
	d_step {
		wasParked = (state == PARKED);
		state = NUDGED;
		owed = true
	};
	if
	:: wasParked -> send()
	:: else
	fi;
	running--
}

proctype closer() {
	bool sawParked;
	closed = true;
	sawParked = (state == PARKED && BUG != 6);
	if
	:: sawParked -> unpark()
	:: else
	fi;
	running--
}

init {
	atomic {
		run producer(2);
		run producer(1);
		run consumer();
		run borrower();
		run waker();
		run closer()
	}
	d_step {
		running == 0 ->
		assert(finished);
		assert(accepted == tail);
		assert(taken == accepted);
		assert(sema == 0);
		assert(!owed || state == NUDGED);
		over = true
	}
}

ltl ends { <> over }
