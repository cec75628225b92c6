// net/http. Usage: client ORIGIN 1.1|2 < steps; see ../script.rs for both formats.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

var shown = []string{"content-type", "content-length", "content-encoding", "retry-after", "www-authenticate"}
var known = map[string]string{}

func fill(text string) string {
	for key, value := range known {
		text = strings.ReplaceAll(text, "{"+key+"}", value)
	}
	return text
}

func values(text string) url.Values {
	values := url.Values{}
	for _, field := range strings.Split(text, "&") {
		key, value, _ := strings.Cut(field, "=")
		values.Set(key, value)
	}
	return values
}

// bodyOf answers the body and its media type.
func bodyOf(body string, flags string) ([]byte, string) {
	kind, text, _ := strings.Cut(body, ":")
	switch kind {
	case "json":
		return []byte(text), "application/json"
	case "form":
		return []byte(values(text).Encode()), "application/x-www-form-urlencoded"
	case "pad":
		size, start, _ := strings.Cut(text, ":")
		length, _ := strconv.Atoi(size)
		return []byte(start + strings.Repeat(" ", length-len(start))), "application/json"
	case "bytes":
		length, _ := strconv.Atoi(text)
		data := make([]byte, length)
		for i := range data {
			data[i] = byte(i % 251)
		}
		if strings.Contains(flags, "gzip") {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			writer.Write(data)
			writer.Close()
			data = packed.Bytes()
		}
		return data, "application/octet-stream"
	}
	return nil, ""
}

func request(method, target, flags, body string) *http.Request {
	data, media := bodyOf(body, flags)
	var reader io.Reader
	if data != nil {
		reader = bytes.NewReader(data)
	}
	if strings.Contains(flags, "chunked") {
		// A reader of unknown length is sent in chunks.
		reader = io.MultiReader(reader)
	}
	request, err := http.NewRequest(method, target, reader)
	if err != nil {
		panic(err)
	}
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	if strings.Contains(flags, "gzip") {
		request.Header.Set("Content-Encoding", "gzip")
	}
	if known["token"] != "" && !strings.Contains(flags, "bare") {
		request.Header.Set("Authorization", "Bearer "+known["token"])
	}
	if strings.Contains(flags, "expect") {
		request.Header.Set("Expect", "100-continue")
	}
	return request
}

func show(name string, answer *http.Response, body []byte) {
	var headers []string
	for _, key := range shown {
		if value := answer.Header.Get(key); value != "" {
			headers = append(headers, key+": "+value)
		}
	}
	content := base64.StdEncoding.EncodeToString(body)
	if len(body) > 16384 {
		content = fmt.Sprintf("sha256:%d:%x", len(body), sha256.Sum256(body))
	}
	version := strings.TrimSuffix(strings.TrimPrefix(answer.Proto, "HTTP/"), ".0")
	print(name, strconv.Itoa(answer.StatusCode), version, strings.Join(headers, "|"), content)
}

func print(columns ...string) {
	for at, column := range columns {
		if column == "" {
			columns[at] = "-"
		}
	}
	fmt.Println(strings.Join(columns, "\t"))
}

func send(client *http.Client, name string, request *http.Request) (map[string]any, bool) {
	answer, err := client.Do(request)
	var body []byte
	if err == nil {
		defer answer.Body.Close()
		body, err = io.ReadAll(answer.Body)
	}
	if err != nil {
		print(name, "error", "-", "-", base64.StdEncoding.EncodeToString([]byte(err.Error())))
		return nil, false
	}
	show(name, answer, body)
	record := map[string]any{}
	json.Unmarshal(body, &record)
	return record, true
}

func main() {
	origin, version := os.Args[1], os.Args[2]
	transport := &http.Transport{ForceAttemptHTTP2: version == "2", ExpectContinueTimeout: 10 * time.Second}
	if version == "1.1" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		step := strings.Split(lines.Text(), "\t")
		name, flags, method, path, query, body := step[0], step[1], step[2], step[3], step[4], step[5]
		parameters := url.Values{}
		if query != "-" {
			parameters = values(fill(query))
		}
		times := 1
		if strings.Contains(flags, "twenty") {
			times = 20
		}
		for n := 0; n < times; n++ {
			target := origin + fill(path)
			if len(parameters) > 0 {
				target += "?" + parameters.Encode()
			}
			record, ok := send(client, name, request(method, target, flags, body))
			if token, is := record["access_token"].(string); is {
				known["token"] = token
			} else if ok && strings.Contains(flags, "save") {
				known["id"], _ = record["id"].(string)
				known["created_at"], _ = record["created_at"].(string)
			}
			if cursor, is := record["next_page_cursor"].(string); is && strings.Contains(flags, "pages") {
				parameters.Set("page_cursor", cursor)
				times++
			}
		}
	}
}
