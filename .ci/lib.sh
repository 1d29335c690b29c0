# shellcheck shell=bash
# What ./test and .ci/run have in common: finding Go, a C compiler and the modules, running phases, and summing them up.
# Sourced from the root of the repository, never run. Keeps to bash 3.2, which is what macOS has.

module=github.com/quiesce-go/quiesce

results=() # one line per phase that ran
failures=0
trap 'exit 130' INT # go test turns Ctrl-C into an ordinary failure; without this the next phase would start

say() { printf '%s\n' "$*"; }
die() {
	printf '%s\n' "$*" >&2
	exit 1
}

# phase NAME COMMAND...  runs the command in a subshell, notes whether it passed and how long it took, and goes on either way.
# Never call it in a condition: bash would then ignore set -e inside the command too.
phase() {
	local name=$1 start=$SECONDS rc verdict=ok
	shift
	printf '\n=== %s\n' "$name"
	set +e
	(
		set -e
		"$@"
	)
	rc=$?
	set -e
	if [ "$rc" -ne 0 ]; then
		verdict=FAIL
		failures=$((failures + 1))
	fi
	results+=("$(printf '%-4s %5d s  %s' "$verdict" $((SECONDS - start)) "$name")")
	printf '=== %s: %s after %d s\n' "$name" "$verdict" $((SECONDS - start))
}

# finish NAME  prints the summary and ends the script: 0 if every phase passed, 1 if one failed or none ran.
finish() {
	printf '\n=== summary of %s\n' "$1"
	if [ ${#results[@]} -eq 0 ]; then
		say "$1: FAILED, nothing ran"
		exit 1
	fi
	printf '%s\n' "${results[@]}"
	if [ "$failures" -ne 0 ]; then
		say "$1: FAILED, $failures of ${#results[@]} phases, $SECONDS s"
		exit 1
	fi
	say "$1: ok, ${#results[@]} phases, $SECONDS s"
	exit 0
}

# need_go makes sure that there is a go command.
need_go() {
	if ! command -v go >/dev/null && [ -x /usr/local/go/bin/go ]; then
		PATH=$PATH:/usr/local/go/bin
		export PATH
	fi
	command -v go >/dev/null || die "missing: Go, $(awk '$1 == "go" { print $2 }' go.mod) or newer (neither in PATH nor in /usr/local/go/bin); see https://go.dev/dl/"
}

# c_works says whether C compiles and links here: a compiler without its C library is as good as none.
c_works() {
	local cc dir rc=0
	cc=$(go env CC)
	dir=$(mktemp -d)
	# shellcheck disable=SC2086 # CC may carry flags
	printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
		$cc -x c -o "$dir/probe" - >/dev/null 2>&1 || rc=1
	rm -rf "$dir"
	return "$rc"
}

# need_cc makes sure that there is a C compiler: the mattn engine and the race detector cannot be built without one.
need_cc() {
	if c_works; then return; fi
	if [ -z "${CC-}" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
		say "no C compiler: installing one"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
		apt-get install -y -qq --no-install-recommends gcc libc6-dev || true
		if c_works; then return; fi
	fi
	say "missing: a C compiler that works (tried: $(go env CC)). The mattn engine and the race detector need one." >&2
	say "  Debian, Ubuntu: apt-get install gcc libc6-dev    Fedora: dnf install gcc    macOS: xcode-select --install" >&2
	say "  What can be tested without one: CGO_ENABLED=0 go test ./..." >&2
	exit 1
}

# repo_git is git on this repository, also where the clone belongs to another user, as in many a CI container.
repo_git() { git -c safe.directory='*' "$@"; }

# modules prints the directory of every module that is tested: the root as ".", then the nested ones. Not tools, which has no code.
modules() {
	say .
	{
		if repo_git rev-parse --git-dir >/dev/null 2>&1; then
			repo_git ls-files --cached --others --exclude-standard -- '*/go.mod'
		else
			find . -mindepth 2 -name go.mod | sed 's,^\./,,'
		fi
	} | LC_ALL=C sort -u | while IFS= read -r file; do
		case $file in
		tools/go.mod | testdata/* | */testdata/*) ;;
		*) if [ -f "$file" ]; then say "${file%/go.mod}"; fi ;;
		esac
	done
}
