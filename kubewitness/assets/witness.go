// The program of the test image kubewitness/witness: it tells what a container sees, and does as it is told.
//
//	witness serve [PORT]      answers the requests below, and is a registry, until SIGTERM (default 8080)
//	witness exit CODE         ends with that status
//	witness append PATH TEXT  appends a line to a file, and ends
//	witness listen PORT       ends with status 1 if it cannot bind the port, else stays
//	witness get URL           prints what is answered there, and ends
//
// Environment of `serve`: WITNESS_READY=false begins not ready; WITNESS_LINGER=2s goes on to serve for that long
// after SIGTERM, with readiness withdrawn, as a well-behaved server does; WITNESS_FAREWELL=PATH has a line
// appended there at SIGTERM and one at the end.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
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
		fmt.Println("ended by", wait())
	case "get":
		answer, err := get(arguments[1])
		check(err)
		fmt.Print(answer["body"])
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
	handle("/say", func(r *http.Request) (any, error) {
		_, err := fmt.Println(r.FormValue("text"))
		return map[string]any{}, err
	})
	handle("/bind", func(r *http.Request) (any, error) { return map[string]any{}, bind(r.FormValue("port")) })
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
	http.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.FormValue("code"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := "{}" // with its length, so that it is whole when it is flushed: nobody is left to send the rest
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		io.WriteString(w, answer)
		w.(http.Flusher).Flush()
		os.Exit(code)
	})
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	images := registry{blobs: map[string][]byte{}, asked: []string{}}
	http.HandleFunc("/v2/", images.serve)
	handle("/asked", func(*http.Request) (any, error) { return map[string]any{"asked": images.requests()}, nil })
	listener, err := net.Listen("tcp", ":"+port)
	check(err)
	go func() { check(http.Serve(listener, nil)) }()
	farewell(fmt.Sprint(wait()))
	ready.Store(false)
	linger, _ := time.ParseDuration(os.Getenv("WITNESS_LINGER"))
	time.Sleep(linger)
	farewell("ended")
}

func wait() os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	return <-signals
}

func farewell(text string) {
	fmt.Println(text)
	if path := os.Getenv("WITNESS_FAREWELL"); path != "" {
		check(appendLine(path, text))
	}
}

func bind(port string) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	return listener.Close()
}

// A registry has an image of this program under every name and tag, each another image, and remembers what it
// was asked for. See the OCI distribution specification: a pull needs manifests and blobs, no more.
type registry struct {
	sync.Mutex
	blobs map[string][]byte
	asked []string
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

func (r *registry) serve(w http.ResponseWriter, request *http.Request) {
	r.Lock()
	defer r.Unlock()
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	r.asked = append(r.asked, request.Method+" "+path)
	digest, kind := path[strings.LastIndex(path, "/")+1:], "application/octet-stream"
	if name, reference, found := strings.Cut(path, "/manifests/"); found {
		kind = manifestType
		if !strings.HasPrefix(reference, "sha256:") {
			digest = r.image(name + ":" + reference)
		}
	}
	content, found := r.blobs[digest]
	if !found {
		http.NotFound(w, request)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digest)
	http.ServeContent(w, request, "", time.Time{}, bytes.NewReader(content))
}

func (r *registry) requests() []string {
	r.Lock()
	defer r.Unlock()
	return append([]string{}, r.asked...)
}

func (r *registry) image(name string) string {
	program, err := os.ReadFile("/proc/self/exe")
	check(err)
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	check(archive.WriteHeader(&tar.Header{Name: "witness", Mode: 0o755, Size: int64(len(program))}))
	_, err = archive.Write(program)
	check(err)
	check(archive.Close())
	content := r.put(layerType, layer.Bytes())
	config := r.put(configType, encoded(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/witness"}, "Labels": map[string]any{"name": name}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{content["digest"]}},
	}))
	manifest := r.put(manifestType, encoded(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []any{content},
	}))
	return manifest["digest"].(string)
}

func (r *registry) put(kind string, content []byte) map[string]any {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	r.blobs[digest] = content
	return map[string]any{"mediaType": kind, "digest": digest, "size": len(content)}
}

func encoded(value any) []byte {
	text, err := json.Marshal(value)
	check(err)
	return text
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

func get(url string) (map[string]any, error) {
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
