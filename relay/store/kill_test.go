package store_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// killedData is how long the blocks of TestKill are: four are just one write.
const killedData = 51968

// writeUntilKilled is another process. It writes blocks, from the one that the
// environment names, and says the number of the first that is not on disk yet.
func writeUntilKilled(dir string) {
	number, err := strconv.ParseUint(os.Getenv("STORE_TEST_FIRST"), 10, 64)
	if err != nil {
		panic(err)
	}
	s, err := store.Open(dir, store.Config{Logger: discard})
	if err != nil {
		panic(err)
	}
	before := s.Stats().Shards
	tick := time.NewTicker(time.Millisecond)
	for put := uint64(0); ; {
		for range 4 {
			for _, sh := range block(number, killedData) {
				s.Put(sh)
				put++
			}
			number++
		}
		for s.Stats().Shards < before+put {
			<-tick.C
		}
		fmt.Println(number)
	}
}

// TestKill: a process that writes is killed at any moment, again and again. Whatever
// it said was written is there, and all that is there is as it was put.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	var all [][]*stripe.Shard
	must := []int{}
	for range 20 {
		first := len(all)
		end := writeAndKill(t, self, dir, first, 1+rnd.IntN(4), time.Duration(rnd.IntN(3000))*time.Microsecond)
		for n := first; n < end+8; n++ { // it may have written what it had no time to tell
			all = append(all, block(uint64(n), killedData))
		}
		for n := first; n < end; n++ {
			must = append(must, n)
		}
		s := open(t, dir, store.Config{})
		if st := s.Stats(); st.Problem != "" {
			t.Fatal(st.Problem)
		}
		have, _ := played(t, s, all, false)
		for _, n := range must {
			if have[n] != 31 {
				t.Errorf("block %d was written, and of its shards are left: %b", n, have[n])
			}
		}
		closed(t, s)
	}
	t.Logf("%d blocks were written for certain", len(must))
}

// writeAndKill runs such a process until it has said so many numbers and somewhat
// longer, and returns the last.
func writeAndKill(t *testing.T, self, dir string, first, numbers int, longer time.Duration) (end int) {
	t.Helper()
	cmd := exec.Command(self, "-test.run", "^$")
	cmd.Env = append(os.Environ(), "STORE_TEST_WRITER="+dir, fmt.Sprint("STORE_TEST_FIRST=", first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for range numbers {
		if !said.Scan() {
			t.Error("the writer ended")
			break
		}
	}
	<-time.After(longer)
	cmd.Process.Kill()
	more := true
	for more {
		if end, err = strconv.Atoi(said.Text()); err != nil {
			t.Error(err)
		}
		more = said.Scan()
	}
	_ = cmd.Wait() // it was killed
	return end
}
