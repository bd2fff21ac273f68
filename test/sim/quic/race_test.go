//go:build race

package tierq

const underRace = true
