package httpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/stripe"
)

// The past has these paths. A stream that has ended, or whose source is gone, is a
// recording, and that is there twice: as a file (pathRecording and the medium's
// suffix), in which one can seek by bytes once the lengths of all blocks are known;
// and, if it is MPEG-TS, as a list of pieces, in which one can seek by time at once.
const (
	pathRecording = "/recording"
	playlistName  = ".m3u8"
	pieceDir      = "/"
	pieceSuffix   = ".ts"

	queryFrom = "from"
)

// RecordingPath is where a player gets a finished stream, and can seek in it.
func RecordingPath(ext rewind.Extent) string {
	if ext.Info.Media == stripe.MediaTS && ext.Pieces() != nil {
		return pathRecording + playlistName
	}
	return pathRecording + "." + ext.Info.Media.String()
}

// StreamPath is where a player gets the stream from a moment on.
func StreamPath(from rewind.From) string { return PathStream + "?" + queryFrom + "=" + from.String() }

// from is the moment from which a client wants the stream. It may not have said any:
// then that is now, or the start of what there is once nothing plays any more.
func (s *Server) from(r *http.Request) (from rewind.From, rewinds bool, err error) {
	query := r.URL.Query()
	if !query.Has(queryFrom) {
		_, rewinds = s.finished()
		return from, rewinds, nil
	}
	if from, err = rewind.ParseFrom(query.Get(queryFrom)); err != nil {
		return from, false, fmt.Errorf("%s=%w", queryFrom, err)
	}
	if s.cfg.Past == nil {
		return from, false, errors.New("nothing of the past is kept here: leave out ?" + queryFrom)
	}
	return from, true, nil
}

// finished is the extent of a stream of which nothing plays any more.
func (s *Server) finished() (rewind.Extent, bool) {
	if s.cfg.Past == nil {
		return rewind.Extent{}, false
	}
	if _, live := s.cfg.Stream.Media(); live {
		return rewind.Extent{}, false
	}
	return s.cfg.Past.Finished()
}

// place takes a client's place in the past; false: there is none, and it was told. The
// place is given up with leave.
func (s *Server) place(w http.ResponseWriter) (leave func(), ok bool) {
	if s.rewinds.Add(1) > MaxRewinds {
		s.rewinds.Add(-1)
		busy(w, "too many clients: "+strconv.Itoa(MaxRewinds)+" take the past already")
		return nil, false
	}
	return func() { s.rewinds.Add(-1) }, true
}

// rewind sends the stream from a moment on. A client that does not read is paused.
func (s *Server) rewind(w http.ResponseWriter, r *http.Request, from rewind.From, suffix string) {
	leave, ok := s.place(w)
	if !ok {
		return
	}
	defer leave()
	late, cancel := context.WithTimeout(r.Context(), s.cfg.StartTimeout)
	defer cancel()
	err := s.cfg.Past.Await(late)
	var reader *rewind.Reader
	if err == nil {
		reader, err = s.cfg.Past.Open(late, from, time.Now())
	}
	if err != nil {
		busy(w, err.Error())
		return
	}
	defer reader.Close()
	if suffix != "" && suffix != reader.Media().String() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", reader.Media().MIME())
	s.play(s.icy(w, r, reader.Media(), 0), r, reader)
}

// play sends all that a reader reads. What comes to an end too early is broken off, so
// that the client can tell.
func (s *Server) play(w http.ResponseWriter, r *http.Request, reader *rewind.Reader) {
	w.Header().Set("Accept-Ranges", "none")
	if r.Method == http.MethodHead {
		return
	}
	rc := http.NewResponseController(w)
	for {
		before, data, err := reader.Next(r.Context())
		switch {
		case errors.Is(err, io.EOF) || r.Context().Err() != nil:
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		case send(w, rc, s.cfg.PauseTimeout, before, data) != nil:
			return
		}
	}
}

// recording answers what lies below pathRecording.
func (s *Server) recording(w http.ResponseWriter, r *http.Request, what string) {
	name, isPiece := strings.CutPrefix(what, pieceDir)
	_, ok := s.finished()
	if isPiece && !ok && s.cfg.Past != nil {
		_, ok = s.cfg.Past.Extent() // its source may be back, with the same run, while a player is at it
	}
	if !ok {
		why := "there is no recording here"
		if s.cfg.Past != nil {
			why = "the stream is not over; its past is at " + PathStream + "?" + queryFrom + "=start"
		}
		http.Error(w, why, http.StatusNotFound)
		return
	}
	leave, ok := s.place(w)
	if !ok {
		return
	}
	defer leave()
	defer s.clients.Add(-1)
	s.clients.Add(1)
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Now().Add(s.cfg.StartTimeout + s.cfg.WriteTimeout))
	ext, err := s.cfg.Past.Date(r.Context())
	if err != nil {
		busy(w, err.Error())
		return
	}
	isTS := ext.Info.Media == stripe.MediaTS
	switch {
	case what == playlistName && isTS:
		s.pieces(w, r, ext)
	case what == "."+ext.Info.Media.String():
		s.file(w, r)
	case isPiece && isTS:
		s.piece(w, r, name)
	default:
		http.NotFound(w, r)
	}
}

// pieces is the recording's playlist for a player (RFC 8216).
func (s *Server) pieces(w http.ResponseWriter, r *http.Request, ext rewind.Extent) {
	pieces := ext.Pieces()
	if pieces == nil {
		http.Error(w, "the recording is too long for a playlist; take "+PathStream+"?"+queryFrom+"=20:15:00", http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n",
		int(math.Ceil(rewind.PieceTime.Seconds())), pieces[0].Index)
	for _, p := range pieces {
		// None is of no length: a player divides by it.
		fmt.Fprintf(&b, "#EXTINF:%.3f,\n%s%s%d%s\n", max(p.Duration.Seconds(), 0.001), pathRecording[1:], pieceDir, p.Index, pieceSuffix)
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	if r.Method != http.MethodHead {
		w.Write(b.Bytes())
	}
}

// piece sends one piece of the recording.
func (s *Server) piece(w http.ResponseWriter, r *http.Request, name string) {
	number, ok := strings.CutSuffix(name, pieceSuffix)
	i, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || strconv.FormatInt(i, 10) != number {
		http.NotFound(w, r)
		return
	}
	reader, err := s.cfg.Past.OpenPiece(r.Context(), i)
	switch {
	case errors.Is(err, rewind.ErrNothing):
		http.Error(w, "there is no such piece (any more)", http.StatusNotFound)
		return
	case err != nil:
		busy(w, err.Error())
		return
	}
	defer reader.Close()
	w.Header().Set("Content-Type", reader.Media().MIME())
	s.play(w, r, reader)
}

// file sends the recording as one file: any part of it, if all lengths are known, else
// all of it.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	f, err := s.cfg.Past.Recording(r.Context())
	if err != nil {
		s.whole(w, r)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", f.Media().MIME())
	w.Header().Set("ETag", `"`+f.Tag()+`"`)
	if strings.Contains(r.Header.Get("Range"), ",") {
		// Of several parts net/http writes from a goroutine that may outlive this
		// call, and a Recording has one reader. The whole file is an answer too.
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Time{}, &patient{f, http.NewResponseController(w), s.cfg.PauseTimeout})
}

// whole sends a recording of which it is not known how long it is.
func (s *Server) whole(w http.ResponseWriter, r *http.Request) {
	reader, err := s.cfg.Past.Open(r.Context(), rewind.From{}, time.Now())
	if err != nil {
		busy(w, err.Error())
		return
	}
	defer reader.Close()
	w.Header().Set("Content-Type", reader.Media().MIME())
	s.play(w, r, reader)
}

// patient is a recording whose reader may pause.
type patient struct {
	*rewind.Recording
	rc   *http.ResponseController
	wait time.Duration
}

// Read implements io.Reader. What was read is written next, so it sets the time for that.
func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Recording.Read(b)
	if deadline := p.rc.SetWriteDeadline(time.Now().Add(p.wait)); err == nil {
		err = deadline
	}
	return n, err
}
