package pravah;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Six-level figures by Kafka Streams. Its options are system properties, see {@code kafka_streams.py}, which starts it. */
public final class Peer {
    private static final String TOPIC = "activity.events";

    private Peer() {}

    /** Count until the end that the log had at the start, or until the time is over; the last line printed is JSON. */
    public static void main(String[] arguments) throws Exception {
        String run = System.getProperty("run");
        double seconds = Double.parseDouble(System.getProperty("seconds"));
        ClickHouse clickhouse = new ClickHouse(System.getProperty("clickhouse"), System.getProperty("user"), System.getenv("CLICKHOUSE_PASSWORD"), System.getProperty("table"));
        Rules rules = new Rules(Path.of(System.getProperty("rules")));
        Hierarchy hierarchy = new Hierarchy(clickhouse.read(Hierarchy.QUERY));
        Properties properties = properties(run);
        Progress progress = progress(properties, run);

        boolean derived = System.getProperty("figures").equals("derived");
        StoreBuilder<KeyValueStore<Bytes, byte[]>> store = Stores.keyValueStoreBuilder(supplier(), Serdes.Bytes(), Serdes.ByteArray()).withCachingEnabled();
        Topology topology = new Topology()
                .addSource("events", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), TOPIC)
                .addProcessor("figures", () -> derived ? new DerivedFigures(rules, hierarchy, clickhouse, progress) : new StoredFigures(rules, hierarchy, clickhouse, progress), "events")
                .addStateStore(store, "figures");
        try (KafkaStreams streams = new KafkaStreams(topology, properties)) {
            streams.setUncaughtExceptionHandler(error -> {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            double reported = 0;
            while (!progress.done(5) && progress.seconds() < seconds) {
                clickhouse.check();
                if (progress.seconds() - reported >= 1) {
                    reported = progress.seconds();
                    System.err.printf(Locale.ROOT, "%.0f s: %,d events%n", reported, progress.events());
                }
            }
            if (!progress.done(0)) {
                streams.close(); // the processors write what they have
            }
            clickhouse.drain();
            System.out.printf(Locale.ROOT, "{\"events\": %d, \"seconds\": %.3f}%n", progress.events(), progress.seconds());
            System.out.flush();
            streams.close(Duration.ofSeconds(30)); // commits
            clickhouse.drain();
        }
    }

    private static KeyValueBytesStoreSupplier supplier() {
        return System.getProperty("store").equals("rocksdb") ? Stores.persistentKeyValueStore(Figures.STORE) : Stores.inMemoryKeyValueStore(Figures.STORE);
    }

    private static Properties properties(String run) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, run);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getProperty("bootstrap"));
        properties.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("state"));
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, System.getProperty("threads"));
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, System.getProperty("guarantee"));
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20); // a row that changes often goes to the changelog once a commit
        properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MIN_BYTES_CONFIG), 64 << 10);
        properties.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), run); // the next process takes over at once from one that was killed
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        return properties;
    }

    /** What is left to read, by the log's ends and the group's offsets. */
    private static Progress progress(Properties properties, String group) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", properties.get(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG)))) {
            int partitions = admin.describeTopics(java.util.List.of(TOPIC)).allTopicNames().get().get(TOPIC).partitions().size();
            Map<TopicPartition, OffsetSpec> latest = IntStream.range(0, partitions).boxed().collect(Collectors.toMap(number -> new TopicPartition(TOPIC, number), number -> OffsetSpec.latest()));
            Map<TopicPartition, ListOffsetsResultInfo> ends = admin.listOffsets(latest).all().get();
            Map<TopicPartition, OffsetAndMetadata> committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            Map<Integer, Long> last = new HashMap<>();
            ends.forEach((partition, end) -> {
                OffsetAndMetadata offset = committed.get(partition);
                if (end.offset() > (offset == null ? 0 : offset.offset())) {
                    last.put(partition.partition(), end.offset() - 1);
                }
            });
            return new Progress(last, partitions);
        }
    }
}
