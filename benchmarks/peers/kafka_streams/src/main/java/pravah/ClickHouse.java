package pravah;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** ClickHouse over HTTP: reads a query's answer, and writes rows from a thread of its own, about once a second, all that has come together in one insert. */
final class ClickHouse {
    private static final long PAUSE_MILLIS = 1_000;

    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final String address;
    private final String user;
    private final String password;
    private final String insert;
    private final List<byte[]> waiting = new ArrayList<>();
    private boolean hurry;
    private boolean writing;
    private volatile Exception failed;

    ClickHouse(String address, String user, String password, String table) {
        this.address = address;
        this.user = user;
        this.password = password;
        insert = "INSERT INTO " + table + " (level, unit, metric, day, partition, value, version) FORMAT RowBinary";
        Thread thread = new Thread(this::write, "clickhouse");
        thread.setDaemon(true);
        thread.start();
    }

    InputStream read(String query) throws IOException, InterruptedException {
        return send("", HttpRequest.BodyPublishers.ofString(query));
    }

    /** Hand over rows. They are absolute, so whatever is lost with this process is written again by the next. */
    synchronized void give(byte[] rows) {
        waiting.add(rows);
    }

    /** Return when all rows are durable. */
    synchronized void drain() throws Exception {
        hurry = true;
        notifyAll();
        while (failed == null && (writing || !waiting.isEmpty())) {
            wait();
        }
        hurry = false;
        check();
    }

    void check() throws Exception {
        if (failed != null) {
            throw failed;
        }
    }

    private void write() {
        try {
            while (true) {
                List<byte[]> rows;
                synchronized (this) {
                    long until = System.currentTimeMillis() + PAUSE_MILLIS;
                    for (long left = PAUSE_MILLIS; left > 0 && !(hurry && !waiting.isEmpty()); left = until - System.currentTimeMillis()) {
                        wait(left);
                    }
                    rows = List.copyOf(waiting);
                    waiting.clear();
                    writing = !rows.isEmpty();
                }
                if (!rows.isEmpty()) {
                    send("&async_insert=0&query=" + URLEncoder.encode(insert, StandardCharsets.UTF_8), HttpRequest.BodyPublishers.ofByteArrays(rows)).close();
                }
                synchronized (this) {
                    writing = false;
                    notifyAll();
                }
            }
        } catch (IOException | InterruptedException | RuntimeException error) {
            synchronized (this) {
                failed = error;
                notifyAll();
            }
        }
    }

    private InputStream send(String parameters, HttpRequest.BodyPublisher body) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address + parameters)).header("X-ClickHouse-User", user).header("X-ClickHouse-Key", password).POST(body).build();
        HttpResponse<InputStream> answer = client.send(request, HttpResponse.BodyHandlers.ofInputStream());
        if (answer.statusCode() != 200) {
            throw new IOException("ClickHouse: " + new String(answer.body().readAllBytes(), StandardCharsets.UTF_8).lines().findFirst().orElse(""));
        }
        return answer.body();
    }

    /** Rows in ClickHouse's RowBinary. */
    static final class Rows {
        private final ByteArrayOutputStream out;

        Rows(int size) {
            out = new ByteArrayOutputStream(size);
        }

        /** The bytes of a short text: its length, and itself. */
        static byte[] text(String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            byte[] row = new byte[bytes.length + 1];
            row[0] = (byte) bytes.length; // below 128: a number of one byte
            System.arraycopy(bytes, 0, row, 1, bytes.length);
            return row;
        }

        Rows add(byte[] bytes) {
            out.write(bytes, 0, bytes.length);
            return this;
        }

        Rows add(long number, int width) {
            for (int place = 0; place < width; place++) {
                out.write((int) (number >>> (8 * place)));
            }
            return this;
        }

        byte[] take() {
            byte[] bytes = out.toByteArray();
            out.reset();
            return bytes;
        }
    }
}
