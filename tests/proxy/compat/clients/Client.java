import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPOutputStream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** java.net.http.HttpClient. Usage: Client ORIGIN 1.1|2 < steps; see ../script.rs for both formats. */
public final class Client {
    private static final List<String> SHOWN =
            List.of("content-type", "content-length", "content-encoding", "retry-after", "www-authenticate");

    private final Map<String, String> known = new HashMap<>();
    private final HttpClient client;
    private final String origin;
    private final boolean waitsForEver;

    private Client(String origin, String version) throws Exception {
        this.origin = origin;
        waitsForEver = version.equals("2") && origin.startsWith("https:");
        var builder = HttpClient.newBuilder();
        builder.version(version.equals("2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1);
        String authority = System.getenv("SSL_CERT_FILE");
        if (authority != null) {
            builder.sslContext(trusting(authority));
        }
        client = builder.build();
    }

    private static SSLContext trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var pem = new FileInputStream(file)) {
            store.setCertificateEntry("own", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    private String fill(String text) {
        for (var entry : known.entrySet()) {
            text = text.replace("{" + entry.getKey() + "}", entry.getValue());
        }
        return text;
    }

    private static Map<String, String> fields(String text) {
        var fields = new LinkedHashMap<String, String>();
        for (String field : text.split("&")) {
            String[] pair = field.split("=", 2);
            fields.put(pair[0], pair[1]);
        }
        return fields;
    }

    private static String encode(Map<String, String> fields) {
        var encoded = new ArrayList<String>();
        fields.forEach((key, value) -> encoded.add(key + "=" + URLEncoder.encode(value, StandardCharsets.UTF_8)));
        return String.join("&", encoded);
    }

    private static byte[] bytes(String kind, String text, List<String> flags) throws Exception {
        String[] parts = text.split(":", 2);
        byte[] data = new byte[Integer.parseInt(parts[0])];
        if (kind.equals("pad")) {
            byte[] start = parts[1].getBytes(StandardCharsets.UTF_8);
            Arrays.fill(data, (byte) ' ');
            System.arraycopy(start, 0, data, 0, start.length);
        } else {
            for (int i = 0; i < data.length; i++) {
                data[i] = (byte) (i % 251);
            }
        }
        if (flags.contains("gzip")) {
            var packed = new ByteArrayOutputStream();
            try (var writer = new GZIPOutputStream(packed)) {
                writer.write(data);
            }
            data = packed.toByteArray();
        }
        return data;
    }

    private HttpRequest request(String method, String target, List<String> flags, String body) throws Exception {
        var builder = HttpRequest.newBuilder(URI.create(target)).timeout(Duration.ofSeconds(30));
        String kind = body.split(":", 2)[0];
        String text = body.substring(Math.min(body.length(), kind.length() + 1));
        var publisher = BodyPublishers.noBody();
        switch (kind) {
            case "json" -> {
                builder.header("Content-Type", "application/json");
                publisher = BodyPublishers.ofString(text);
            }
            case "form" -> {
                builder.header("Content-Type", "application/x-www-form-urlencoded");
                publisher = BodyPublishers.ofString(encode(fields(text)));
            }
            case "bytes", "pad" -> {
                builder.header("Content-Type", kind.equals("pad") ? "application/json" : "application/octet-stream");
                byte[] data = bytes(kind, text, flags);
                // A stream of unknown length is sent in chunks.
                publisher = flags.contains("chunked")
                        ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(data))
                        : BodyPublishers.ofByteArray(data);
            }
            default -> { }
        }
        if (flags.contains("gzip")) {
            builder.header("Content-Encoding", "gzip");
        }
        if (known.containsKey("token") && !flags.contains("bare")) {
            builder.header("Authorization", "Bearer " + known.get("token"));
        }
        // Over HTTP/2 it waits for a 100 that servers need not send, until the request times out.
        boolean expect = flags.contains("expect") && !waitsForEver;
        return builder.expectContinue(expect).method(method, publisher).build();
    }

    private static String show(String name, HttpResponse<?> answer, byte[] body) throws Exception {
        var shown = new ArrayList<String>();
        for (String key : SHOWN) {
            answer.headers().firstValue(key).ifPresent(value -> shown.add(key + ": " + value));
        }
        String content = Base64.getEncoder().encodeToString(body);
        if (body.length > 16384) {
            String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
            content = "sha256:" + body.length + ":" + digest;
        }
        String version = answer.version() == HttpClient.Version.HTTP_2 ? "2" : "1.1";
        String headers = shown.isEmpty() ? "-" : String.join("|", shown);
        print(name, Integer.toString(answer.statusCode()), version, headers, content.isEmpty() ? "-" : content);
        return new String(body, StandardCharsets.UTF_8);
    }

    private static void print(String... columns) {
        System.out.println(String.join("\t", columns));
    }

    private static String member(String body, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(body);
        return found.find() ? found.group(1) : null;
    }

    private String send(String name, List<String> flags, HttpRequest request) throws Exception {
        if (!flags.contains("stream")) {
            var answer = client.send(request, BodyHandlers.ofByteArray());
            return show(name, answer, answer.body());
        }
        var answer = client.send(request, BodyHandlers.ofInputStream());
        var body = new ByteArrayOutputStream();
        byte[] piece = new byte[4096];
        try (var from = answer.body()) {
            for (int read; (read = from.read(piece)) >= 0; ) {
                body.write(piece, 0, read);
            }
        }
        return show(name, answer, body.toByteArray());
    }

    private void step(String[] step) throws Exception {
        String name = step[0], method = step[2], body = step[5];
        List<String> flags = List.of(step[1].split(","));
        Map<String, String> query = step[4].equals("-") ? new LinkedHashMap<>() : fields(fill(step[4]));
        int times = flags.contains("twenty") ? 20 : 1;
        while (times-- > 0) {
            String target = origin + fill(step[3]) + (query.isEmpty() ? "" : "?" + encode(query));
            String said = send(name, flags, request(method, target, flags, body));
            if (member(said, "access_token") != null) {
                known.put("token", member(said, "access_token"));
            } else if (flags.contains("save")) {
                known.put("id", member(said, "id"));
                known.put("created_at", member(said, "created_at"));
            }
            if (flags.contains("pages") && member(said, "next_page_cursor") != null) {
                query.put("page_cursor", member(said, "next_page_cursor"));
                times++;
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[0], arguments[1]);
        String steps = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        for (String line : steps.strip().split("\n")) {
            String[] step = line.split("\t");
            try {
                client.step(step);
            } catch (Exception error) {
                print(step[0], "error", "-", "-", Base64.getEncoder().encodeToString(error.toString().getBytes()));
            }
        }
        System.exit(0);
    }
}
