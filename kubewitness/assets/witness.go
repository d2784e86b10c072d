// The program of the test image kubewitness/witness: it tells what a container sees, and does as it is told.
//
//	witness serve [PORT]      answers the requests below until SIGTERM (default 8080)
//	witness exit CODE         ends with that status
//	witness append PATH TEXT  appends a line to a file, and ends
//	witness listen PORT       ends with status 1 if it cannot bind the port, else stays
//
// Environment of `serve`: WITNESS_READY=false begins not ready; WITNESS_LINGER=2s goes on to serve for that long
// after SIGTERM, with readiness withdrawn, as a well-behaved server does.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var ready atomic.Bool

// Every request has a connection of its own: a Service chooses an endpoint for each connection, not for each request.
var client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func main() {
	arguments := append(os.Args[1:], "", "", "")
	switch arguments[0] {
	case "serve":
		serve(or(arguments[1], "8080"))
	case "exit":
		code, err := strconv.Atoi(arguments[1])
		check(err)
		os.Exit(code)
	case "append":
		check(appendLine(arguments[1], arguments[2]))
	case "listen":
		listener, err := net.Listen("tcp", ":"+arguments[1])
		check(err)
		fmt.Println("listening on", listener.Addr())
		wait()
	default:
		check(fmt.Errorf("unknown command %q", arguments[0]))
	}
}

func serve(port string) {
	ready.Store(os.Getenv("WITNESS_READY") != "false")
	handle := func(path string, answer func(r *http.Request) (any, error)) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			value, err := answer(r)
			if err != nil {
				value = map[string]any{"error": err.Error()}
			}
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(value)
		})
	}
	handle("/env", func(*http.Request) (any, error) { return environment(), nil })
	handle("/hostname", func(*http.Request) (any, error) {
		name, err := os.Hostname()
		return map[string]any{"hostname": name}, err
	})
	handle("/addresses", func(*http.Request) (any, error) { return addresses() })
	handle("/client", func(r *http.Request) (any, error) {
		address, _, err := net.SplitHostPort(r.RemoteAddr)
		return map[string]any{"address": address}, err
	})
	handle("/file", func(r *http.Request) (any, error) { return file(r.FormValue("path")) })
	handle("/files", func(r *http.Request) (any, error) { return files(r.FormValue("path")) })
	handle("/append", func(r *http.Request) (any, error) {
		return map[string]any{}, appendLine(r.FormValue("path"), r.FormValue("text"))
	})
	handle("/remove", func(r *http.Request) (any, error) {
		return map[string]any{}, os.RemoveAll(r.FormValue("path"))
	})
	handle("/get", func(r *http.Request) (any, error) { return get(r.FormValue("url")) })
	var polls poll
	handle("/poll", func(r *http.Request) (any, error) {
		return polls.start(r.FormValue("url"), r.FormValue("every"))
	})
	handle("/polled", func(*http.Request) (any, error) { return polls.end() })
	handle("/mounts", func(*http.Request) (any, error) { return lines("/proc/self/mountinfo") })
	handle("/be", func(r *http.Request) (any, error) {
		ready.Store(r.FormValue("ready") == "true")
		return map[string]any{"ready": ready.Load()}, nil
	})
	handle("/exit", func(r *http.Request) (any, error) {
		code, err := strconv.Atoi(r.FormValue("code"))
		if err == nil {
			time.AfterFunc(50*time.Millisecond, func() { os.Exit(code) }) // after the answer
		}
		return map[string]any{}, err
	})
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	listener, err := net.Listen("tcp", ":"+port)
	check(err)
	go func() { check(http.Serve(listener, nil)) }()
	wait()
	ready.Store(false)
	linger, _ := time.ParseDuration(os.Getenv("WITNESS_LINGER"))
	time.Sleep(linger)
}

func wait() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	fmt.Println("ended by", <-signals)
}

func environment() map[string]string {
	found := map[string]string{}
	for _, each := range os.Environ() {
		name, value, _ := strings.Cut(each, "=")
		found[name] = value
	}
	return found
}

func addresses() (any, error) {
	listed, err := net.InterfaceAddrs()
	found := []string{}
	for _, each := range listed {
		if network, ok := each.(*net.IPNet); ok {
			found = append(found, network.IP.String())
		}
	}
	return map[string]any{"addresses": found}, err
}

func file(path string) (any, error) {
	status, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	link, _ := os.Lstat(path)
	system := status.Sys().(*syscall.Stat_t)
	var volume syscall.Statfs_t
	if err := syscall.Statfs(path, &volume); err != nil {
		return nil, err
	}
	found := map[string]any{
		"mode": fmt.Sprintf("%04o", status.Mode().Perm()), "directory": status.IsDir(), "uid": system.Uid,
		"gid": system.Gid, "size": status.Size(), "link": link != nil && link.Mode()&fs.ModeSymlink != 0,
		"tmpfs": volume.Type == 0x01021994, "volume_bytes": int64(volume.Blocks) * volume.Bsize,
	}
	if status.Mode().IsRegular() {
		content, err := os.ReadFile(path)
		found["content"] = string(content)
		return found, err
	}
	return found, nil
}

func files(path string) (any, error) {
	found := []string{}
	err := filepath.WalkDir(path, func(each string, _ fs.DirEntry, err error) error {
		found = append(found, each)
		return err
	})
	return map[string]any{"files": found}, err
}

func get(url string) (any, error) {
	status, body, err := fetch(url)
	return map[string]any{"status": status, "body": body}, err
}

func fetch(url string) (int, string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// A poll asks one URL at a steady pace, however long the answers take, and forgets none of its requests.
type poll struct {
	sync.Mutex
	stop     chan struct{} // nil while nothing is polled
	asking   sync.WaitGroup
	sent     int
	answers  map[string]int // how often each body came
	failures []string       // requests without an answer, or with one that is not 200
}

func (p *poll) start(url, pace string) (any, error) {
	every, err := time.ParseDuration(pace)
	if err != nil {
		return nil, err
	}
	p.Lock()
	defer p.Unlock()
	if p.stop != nil {
		return nil, fmt.Errorf("a poll is under way")
	}
	p.stop, p.sent, p.answers, p.failures = make(chan struct{}), 0, map[string]int{}, []string{}
	p.asking.Add(1)
	go p.run(url, every, p.stop)
	return map[string]any{"every": every.String()}, nil
}

func (p *poll) run(url string, every time.Duration, stop chan struct{}) {
	defer p.asking.Done()
	pace := time.NewTicker(every)
	defer pace.Stop()
	for {
		p.Lock()
		p.sent++
		p.Unlock()
		p.asking.Add(1)
		go p.ask(url)
		select {
		case <-pace.C:
		case <-stop:
			return
		}
	}
}

func (p *poll) ask(url string) {
	defer p.asking.Done()
	asked := time.Now()
	status, body, err := fetch(url)
	p.Lock()
	defer p.Unlock()
	switch at := asked.UTC().Format(time.RFC3339Nano); {
	case err != nil:
		p.failures = append(p.failures, fmt.Sprintf("%s: %v", at, err))
	case status != http.StatusOK:
		p.failures = append(p.failures, fmt.Sprintf("%s: status %d, %s", at, status, body))
	default:
		p.answers[body]++
	}
}

// end waits for the answers that are outstanding, and tells of all.
func (p *poll) end() (any, error) {
	p.Lock()
	stop := p.stop
	p.stop = nil
	p.Unlock()
	if stop == nil {
		return nil, fmt.Errorf("no poll is under way")
	}
	close(stop)
	p.asking.Wait()
	return map[string]any{"sent": p.sent, "answers": p.answers, "failures": p.failures}, nil
}

func lines(path string) (any, error) {
	content, err := os.ReadFile(path)
	return map[string]any{"lines": strings.Split(strings.TrimSpace(string(content)), "\n")}, err
}

func appendLine(path, text string) error {
	opened, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = opened.WriteString(text + "\n")
	if err != nil {
		return err
	}
	return opened.Close()
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		os.Exit(1)
	}
}
