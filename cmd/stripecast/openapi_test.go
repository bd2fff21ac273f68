package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/stripecast/stripecast/playout/httpd"
)

// schema is as much of JSON Schema as our description uses.
type schema struct {
	Ref         string   `yaml:"$ref"`
	AllOf       []schema `yaml:"allOf"`
	Type        string
	Description string
	Format      string
	Enum        []any
	Minimum     *float64
	Items       *schema
	Required    []string
	Properties  map[string]schema
}

type schemas map[string]schema

// whole is a schema with what it refers to.
func (all schemas) whole(s schema) (schema, error) {
	if s.Ref != "" {
		named, ok := all[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		if !ok {
			return s, fmt.Errorf("nothing is called %s", s.Ref)
		}
		return all.whole(named)
	}
	for _, part := range s.AllOf {
		part, err := all.whole(part)
		if err != nil {
			return s, err
		}
		if s.Properties == nil {
			s.Properties = map[string]schema{}
		}
		maps.Copy(s.Properties, part.Properties)
		s.Type, s.Required = part.Type, append(s.Required, part.Required...)
	}
	return s, nil
}

// faults finds in what way a value is not as the schema says. Of an object every
// property is there that is described, and none that is not.
func (all schemas) faults(at string, s schema, v any) (found []string) {
	s, err := all.whole(s)
	if err != nil {
		return []string{at + ": " + err.Error()}
	}
	is := func(ok bool) {
		if !ok {
			found = append(found, fmt.Sprintf("%s: %v is no %s as described", at, v, s.Type))
		}
	}
	switch v := v.(type) {
	case map[string]any:
		is(s.Type == "object")
		for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
			if _, ok := v[key]; !ok {
				found = append(found, at+": it has no "+key)
			}
			if !slices.Contains(s.Required, key) {
				found = append(found, at+"."+key+" is always there, and not required")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if p, ok := s.Properties[key]; ok {
				found = append(found, all.faults(at+"."+key, p, v[key])...)
			} else {
				found = append(found, at+"."+key+" is not described")
			}
		}
	case []any:
		is(s.Type == "array" && s.Items != nil)
		for i := range v {
			if s.Items != nil {
				found = append(found, all.faults(fmt.Sprintf("%s[%d]", at, i), *s.Items, v[i])...)
			}
		}
	case float64:
		is(s.Type == "number" || s.Type == "integer" && v == math.Trunc(v))
		is(s.Minimum == nil || v >= *s.Minimum)
	case string:
		is(s.Type == "string")
		is(len(s.Enum) == 0 || slices.Contains(s.Enum, any(v)))
	case bool:
		is(s.Type == "boolean")
	default:
		is(false)
	}
	return found
}

// readSchemas reads the description as it is served.
func readSchemas(t *testing.T, text string) schemas {
	t.Helper()
	var doc struct{ Components struct{ Schemas schemas } }
	if err := yaml.UnmarshalWithOptions([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Components.Schemas) < 8 {
		t.Fatalf("only %d schemas", len(doc.Components.Schemas))
	}
	return doc.Components.Schemas
}

// generic is a value as JSON shows it.
func generic(t *testing.T, of any) (v any) {
	t.Helper()
	b, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestStatusIsDescribed: a status has the fields that openapi.yaml names, of the types
// that it names, and no others; one of a participant that carries nothing, too.
func TestStatusIsDescribed(t *testing.T) {
	h := begin(t, 0)
	url := show(t, &site{host: h, status: func(urls []string) status { return describe("relay", h, nil, urls) }})
	resp, text := fetch(t, url+"api/openapi.yaml")
	all := readSchemas(t, text)
	if onDisk, err := os.ReadFile("../../playout/httpd/openapi.yaml"); err != nil || string(onDisk) != text || resp.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("what is served is %s and not the page: %v", resp.Header.Get("Content-Type"), err)
	}
	_, text = fetch(t, url+"api/status")
	var empty any
	if err := json.Unmarshal([]byte(text), &empty); err != nil {
		t.Fatal(err)
	}
	full := scraped().status
	full.streamStatus = full.Streams[0]
	full.URLs = []string{httpd.DefaultAddr}
	for _, v := range []any{empty, generic(t, full)} {
		for _, fault := range all.faults("status", schema{Ref: "#/components/schemas/Status"}, v) {
			t.Error(fault)
		}
	}
}

// TestDescriptionCanFail: a field too many, one too few, and one of another kind are found.
func TestDescriptionCanFail(t *testing.T) {
	zero := 0.0
	all := schemas{"A": {Type: "object", Required: []string{"n", "s"}, Properties: map[string]schema{
		"n": {Type: "integer", Minimum: &zero}, "s": {Type: "string", Enum: []any{"x"}},
	}}}
	for text, want := range map[string]int{
		`{"n":1,"s":"x"}`: 0, `{"n":1}`: 1, `{"n":1,"s":"x","more":1}`: 1, `{"n":1.5,"s":"x"}`: 1, `{"n":-1,"s":"x"}`: 1,
		`{"n":"1","s":"x"}`: 1, `{"n":null,"s":"x"}`: 1, `{"n":1,"s":"y"}`: 1, `[]`: 1, `{"n":true,"s":[1]}`: 2,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if found := all.faults("a", schema{Ref: "#/components/schemas/A"}, v); len(found) != want {
			t.Errorf("%s: %q, want %d faults", text, found, want)
		}
	}
	if found := all.faults("a", schema{Ref: "#/components/schemas/B"}, nil); len(found) != 1 {
		t.Errorf("of what is not there: %q", found)
	}
}
