//go:build race

package pull

const underRace = true
