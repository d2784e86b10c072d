// A CSI driver: its volumes are directories of the node that it runs on, so a pod has them by a bind mount.
//
//	csi-driver NAME NODE
//
// It serves the driver's socket and announces it to the kubelet, both where a kubelet looks for them. No tool is
// called and nothing is kept in memory but what it was called for: http://POD:8080/calls tells that, in order, and
// http://POD:8080/ready says whether the kubelet has registered it.
//
// The CSI: https://github.com/container-storage-interface/spec/blob/master/spec.md
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	plugins  = "/var/lib/kubelet/plugins/"
	registry = "/var/lib/kubelet/plugins_registry/"
)

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	name, node string
	registered atomic.Bool
	lock       sync.Mutex
	calls      []call
}

type call struct {
	Method  string          `json:"method"`
	Request json.RawMessage `json:"request"`
	Error   string          `json:"error"`
}

func main() {
	if len(os.Args) != 3 {
		check(errors.New("usage: csi-driver NAME NODE"))
	}
	d := &driver{name: os.Args[1], node: os.Args[2]}
	check(os.MkdirAll(d.persistent(""), 0o755))
	check(os.MkdirAll(d.ephemeral(""), 0o755))

	services := grpc.NewServer(grpc.UnaryInterceptor(d.record))
	csi.RegisterIdentityServer(services, d)
	csi.RegisterControllerServer(services, d)
	csi.RegisterNodeServer(services, d)
	serve(services, d.socket())
	announcement := grpc.NewServer(grpc.UnaryInterceptor(d.record))
	registration.RegisterRegistrationServer(announcement, &announced{driver: d})
	serve(announcement, registry+d.name+"-reg.sock")

	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !d.registered.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/calls", func(w http.ResponseWriter, _ *http.Request) {
		d.lock.Lock()
		defer d.lock.Unlock()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"calls": d.calls})
	})
	go func() { check(http.ListenAndServe(":8080", nil)) }()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	fmt.Println("ended by", <-signals)
	announcement.GracefulStop() // its socket goes, by which the kubelet knows
	services.GracefulStop()
}

func serve(server *grpc.Server, socket string) {
	if err := os.Remove(socket); !errors.Is(err, fs.ErrNotExist) {
		check(err) // a killed driver left it
	}
	listener, err := net.Listen("unix", socket)
	check(err)
	go func() { check(server.Serve(listener)) }()
}

func (d *driver) socket() string { return filepath.Join(plugins, d.name, "csi.sock") }
func (d *driver) persistent(id string) string {
	return filepath.Join(plugins, d.name, "persistent", id)
}
func (d *driver) data(id string) string      { return filepath.Join(d.persistent(id), "data") }
func (d *driver) ephemeral(id string) string { return filepath.Join(plugins, d.name, "ephemeral", id) }

// record keeps what a call was for and what came of it, before its caller knows.
func (d *driver) record(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
) (any, error) {
	answer, err := handle(ctx, request)
	done := call{Method: info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:], Request: json.RawMessage("{}")}
	if message, ok := request.(proto.Message); ok {
		if text, err := protojson.Marshal(message); err == nil {
			done.Request = text
		}
	}
	if err != nil {
		done.Error = err.Error()
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	d.calls = append(d.calls, done)
	fmt.Println(done.Method, string(done.Request), done.Error)
	return answer, err
}

// What the kubelet asks a plugin that it found by its socket.

type announced struct {
	registration.UnimplementedRegistrationServer
	*driver
}

func (a *announced) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: a.name, Endpoint: a.socket(), SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (a *announced) NotifyRegistrationStatus(
	_ context.Context, told *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	a.registered.Store(told.PluginRegistered)
	return &registration.RegistrationStatusResponse{}, nil
}

// Identity

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	able := func(what csi.PluginCapability_Service_Type) *csi.PluginCapability {
		return &csi.PluginCapability{
			Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: what}},
		}
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		able(csi.PluginCapability_Service_CONTROLLER_SERVICE),
		able(csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS),
	}}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

// Controller: the volumes of this node are made and removed by this node's driver.

func (d *driver) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	rpc := &csi.ControllerServiceCapability_RPC{Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME}
	able := &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{able}}, nil
}

func (d *driver) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if !isName(r.GetName()) || !areMounts(r.GetVolumeCapabilities()) {
		return nil, status.Error(codes.InvalidArgument, "a name and capabilities to mount are wanted")
	}
	if err := os.MkdirAll(d.data(r.GetName()), 0o755); err != nil {
		return nil, err
	}
	size := r.GetCapacityRange().GetRequiredBytes()
	wanted, kept := strconv.FormatInt(size, 10), filepath.Join(d.persistent(r.GetName()), "bytes")
	if made, err := os.ReadFile(kept); err == nil && string(made) != wanted {
		return nil, status.Errorf(codes.AlreadyExists, "%s has %s bytes", r.GetName(), made)
	}
	if err := os.WriteFile(kept, []byte(wanted), 0o644); err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: r.GetName(), CapacityBytes: size, AccessibleTopology: []*csi.Topology{d.here()},
	}}, nil
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if !isName(r.GetVolumeId()) {
		return nil, status.Error(codes.InvalidArgument, "a volume's id is wanted")
	}
	return &csi.DeleteVolumeResponse{}, os.RemoveAll(d.persistent(r.GetVolumeId()))
}

func (d *driver) ValidateVolumeCapabilities(
	_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if !isName(r.GetVolumeId()) || len(r.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume's id and capabilities are wanted")
	}
	if _, err := os.Stat(d.persistent(r.GetVolumeId())); err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if !areMounts(r.GetVolumeCapabilities()) {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: "volumes can only be mounted"}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: r.GetVolumeCapabilities()},
	}, nil
}

func (d *driver) here() *csi.Topology {
	return &csi.Topology{Segments: map[string]string{d.name + "/node": d.node}}
}

// Node

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node, AccessibleTopology: d.here()}, nil
}

func (d *driver) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

func (d *driver) NodePublishVolume(
	_ context.Context, r *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	target := r.GetTargetPath()
	if !isName(r.GetVolumeId()) || target == "" || r.GetVolumeCapability().GetMount() == nil {
		return nil, status.Error(codes.InvalidArgument, "a volume's id, a path and a capability to mount are wanted")
	}
	source := d.data(r.GetVolumeId())
	if r.GetVolumeContext()["csi.storage.k8s.io/ephemeral"] == "true" {
		source = d.ephemeral(r.GetVolumeId())
		if err := os.MkdirAll(source, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return nil, err
	}
	if mounted, err := same(source, target); err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	} else if mounted {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	if r.GetReadonly() {
		flags := uintptr(syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY)
		if err := syscall.Mount("", target, "", flags, ""); err != nil {
			return nil, fmt.Errorf("make %s read-only: %w", target, err)
		}
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (d *driver) NodeUnpublishVolume(
	_ context.Context, r *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	target := r.GetTargetPath()
	if !isName(r.GetVolumeId()) || target == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume's id and a path are wanted")
	}
	// EINVAL: nothing is mounted there. It may be the second try.
	err := syscall.Unmount(target, 0)
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("unmount %s: %w", target, err)
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &csi.NodeUnpublishVolumeResponse{}, os.RemoveAll(d.ephemeral(r.GetVolumeId()))
}

// isName says whether an id can be a directory's name. Whoever calls is trusted, but an empty one would be all.
func isName(id string) bool { return id != "" && id == filepath.Base(id) && id != "." && id != ".." }

func areMounts(capabilities []*csi.VolumeCapability) bool {
	for _, each := range capabilities {
		if each.GetMount() == nil {
			return false
		}
	}
	return len(capabilities) > 0
}

// same says whether two paths lead to one directory, as they do once the one is mounted on the other.
func same(one, other string) (bool, error) {
	first, err := os.Stat(one)
	if err != nil {
		return false, err
	}
	second, err := os.Stat(other)
	return err == nil && os.SameFile(first, second), err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "csi-driver:", err)
		os.Exit(1)
	}
}
