package pull

import "time"

// tail is how push goes on with blocks that it has not made whole yet, by their age in
// steps of tailStep: how many of the last blocks were still short of a shard that push
// should bring then, and how many such shards came of them in that step. What a
// parent pulls and makes again, what it has sent again, and what waited in its queue
// comes after the others, in bursts; what comes while an answer is on its way makes the
// answer one for nothing.
type tail struct {
	short, came [tailSteps]float64
}

func tailStepOf(age time.Duration) int { return int(max(0, age) / tailStep) }

// arrived takes the age of a block, in which push had not brought enough, when a
// shard came of it by push.
func (t *tail) arrived(age time.Duration) {
	if i := tailStepOf(age); i < tailSteps {
		t.came[i]++
	}
}

// over takes the age at which push made a block whole, or until which it was looked
// after.
func (t *tail) over(age time.Duration) {
	for i := range min(tailStepOf(age)+1, tailSteps) {
		t.short[i], t.came[i] = t.short[i]*tailKeep+1, t.came[i]*tailKeep
	}
}

// likely is how many shards push is expected to bring, while an answer takes its way, of
// a block of that age that is short.
func (t *tail) likely(age time.Duration) (shards float64) {
	from := tailStepOf(age)
	for i := from; i < min(from+tailAhead, tailSteps); i++ {
		shards += t.came[i] / (t.short[i] + 1) // a guess of none until it is known
	}
	return shards
}

// quiet is the first age, from this one on but not beyond most, at which push is not
// likely to bring anything soon.
func (t *tail) quiet(age, most time.Duration) time.Duration {
	for age < most && t.likely(age) > tailMost {
		age = time.Duration(tailStepOf(age)+1) * tailStep
	}
	return max(min(age, most), 0)
}
