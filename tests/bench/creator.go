// Creates pods as fast as client-go can: creator KUBECONFIG PREFIX COUNT WORKERS MODE
//
// The modes: "typed", the clientset as everyone uses it, over HTTP/2; "raw", bodies that are made before the start and
// answers that are not decoded, over HTTP/2; "raw1", the same over HTTP/1.1, with a connection for each worker.
// Bodies and answers are protobuf, nothing is compressed, and no rate is limited. It prints, as JSON, the seconds that
// the requests took, and this process's processor time meanwhile.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
)

const protobuf = "application/vnd.kubernetes.protobuf"

func main() {
	prefix, mode := os.Args[2], os.Args[5]
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	workers, err := strconv.Atoi(os.Args[4])
	check(err)
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	check(err)
	config.ContentType, config.AcceptContentTypes = protobuf, protobuf
	config.QPS, config.DisableCompression = -1, true
	if mode == "raw1" {
		config.NextProtos = []string{"http/1.1"}
	}
	client, err := kubernetes.NewForConfig(config)
	check(err)
	_, err = client.CoreV1().Pods("default").List(context.Background(), meta.ListOptions{Limit: 1}) // connected
	check(err)

	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), protobuf)
	encoder := scheme.Codecs.EncoderForVersion(info.Serializer, core.SchemeGroupVersion)
	pods, bodies := make([]*core.Pod, count), make([][]byte, count)
	for number := range pods {
		pods[number] = pod(fmt.Sprintf("%s-%d", prefix, number))
		bodies[number], err = runtime.Encode(encoder, pods[number])
		check(err)
	}

	coming := make(chan int, count)
	for number := range pods {
		coming <- number
	}
	close(coming)
	began, before := time.Now(), processorSeconds()
	var working sync.WaitGroup
	for range workers {
		working.Add(1)
		go func() {
			defer working.Done()
			for number := range coming {
				if mode == "typed" {
					_, err := client.CoreV1().Pods("default").Create(context.Background(), pods[number], meta.CreateOptions{})
					check(err)
					continue
				}
				_, err := client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").
					SetHeader("Content-Type", protobuf).Body(bodies[number]).DoRaw(context.Background())
				check(err)
			}
		}()
	}
	working.Wait()
	told, err := json.Marshal(map[string]float64{
		"took_s": time.Since(began).Seconds(), "processor_s": processorSeconds() - before,
	})
	check(err)
	fmt.Println(string(told))
}

func pod(name string) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec:       core.PodSpec{Containers: []core.Container{{Name: "main", Image: "none"}}},
	}
}

func processorSeconds() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "creator:", err)
		os.Exit(1)
	}
}
