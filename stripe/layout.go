package stripe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Layout says how a block is coded: K shards rebuild it, M more may be lost.
// It is fixed for an epoch.
type Layout struct{ K, M int }

// DefaultLayout is 16+4: any four parents may vanish unnoticed, for a quarter
// more bytes, and a volunteer carries one sixteenth.
var DefaultLayout = Layout{K: 16, M: 4}

// ErrLayout is wrapped by every refusal of a layout.
var ErrLayout = errors.New("bad layout")

// N is the number of shards of a block, and of stripes of the stream.
func (l Layout) N() int { return l.K + l.M }

// String is "k+m".
func (l Layout) String() string { return fmt.Sprintf("%d+%d", l.K, l.M) }

// Validate refuses k < 1, m < 0 and k+m > MaxShards.
func (l Layout) Validate() error {
	switch {
	case l.K < 1:
		return fmt.Errorf("%w %v: at least one shard must carry data", ErrLayout, l)
	case l.M < 0:
		return fmt.Errorf("%w %v: parity cannot be negative", ErrLayout, l)
	case l.N() > MaxShards:
		return fmt.Errorf("%w %v: at most %d shards in all", ErrLayout, l, MaxShards)
	}
	return nil
}

// ParseLayout reads "k+m".
func ParseLayout(s string) (Layout, error) {
	ks, ms, ok := strings.Cut(s, "+")
	k, errK := strconv.ParseUint(ks, 10, 8)
	m, errM := strconv.ParseUint(ms, 10, 8)
	if !ok || errK != nil || errM != nil {
		return Layout{}, fmt.Errorf("%w %q: want k+m, as in 16+4", ErrLayout, short(s))
	}
	l := Layout{K: int(k), M: int(m)}
	return l, l.Validate()
}

// ShardLen is the length of each shard of a block of dataLen bytes: a K-th of
// it, rounded up to ShardUnit, and at least one unit.
func (l Layout) ShardLen(dataLen int) int {
	per := (dataLen + l.K - 1) / l.K
	per = (per + ShardUnit - 1) / ShardUnit * ShardUnit
	return max(per, ShardUnit)
}
