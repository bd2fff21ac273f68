package httpd

import (
	"context"
	"fmt"
	"net/http"
)

// probe answers 200 and "ok", or 503 and why not.
func probe(w http.ResponseWriter, r *http.Request, ask func(context.Context) error) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	if ask != nil {
		if err := ask(ctx); err != nil {
			busy(w, err.Error())
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}
