package scenario

import (
	"time"

	"strait/compare/link"
)

const (
	ms   = time.Millisecond
	kbit = 1000
	mbit = 1000 * kbit
	gbit = 1000 * mbit
	kib  = 1 << 10
)

// catalogue is ordered from the best link to the worst. Delays are to a gateway in the
// player's region unless About says otherwise.
var catalogue = []Scenario{
	{
		Name:  "lan",
		About: "one switch between player and gateway: what the programs themselves cost",
		Sources: []string{
			"IEEE Std 802.3, clause 40 (1000BASE-T): the rate",
			"Round choices: 300 µs there and back for a switch and two ordinary network cards, its jitter, and the queue",
		},
		Link: both(link.Settings{Delay: 150 * time.Microsecond, Jitter: 30 * time.Microsecond, Rate: gbit, Queue: 512 * kib}),
	},
	{
		Name:  "fiber",
		About: "fibre to the home, wired, not loaded",
		Sources: []string{
			"FCC, Thirteenth Measuring Broadband America Fixed Broadband Report, measured in autumn 2022: 7 to 14 ms there and back over idle fibre in the median; these reports count less than 0.4 % of loss at peak times as the best class",
			"Round choices: 0.01 % of loss, far within that class; the jitter, the rate and the queue",
		},
		Link: both(fiber),
	},
	{
		Name:  "cable-bufferbloat",
		About: "cable modem with large unmanaged buffers: fast while idle, 420 ms more while something fills the upstream",
		Sources: []string{
			"FCC, Thirteenth Measuring Broadband America Fixed Broadband Report: 12 to 24 ms there and back over an idle cable line in the median",
			"Gettys and Nichols, Bufferbloat: Dark Buffers in the Internet, ACM Queue 9(11), 2011, doi:10.1145/2063166.2071893: the phenomenon",
			"Nichols and Jacobson, Controlling Queue Delay, Communications of the ACM 55(7), 2012, doi:10.1145/2209249.2209264: hundreds of milliseconds to several seconds in queues at the edge, by two studies: Dischinger et al., Characterizing Residential Broadband Networks, IMC 2007, and Kreibich et al., Netalyzr: Illuminating the Edge Network, IMC 2010",
			"Right-Sizing Cable Modem Buffers for Maximum Application Performance, NCTA Technical Papers, 2011: perhaps ten times what TCP needs in modems of that time; CableLabs CM-GL-Buffer-V01-110915, Cable Modem Buffer Control, and RFC 8034: what came of it",
			"Round choices: 420 ms within these; the rates, the jitter and the loss",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 9 * ms, Jitter: 1500 * time.Microsecond, Distribution: link.Pareto, Loss: 0.0003, Rate: 10 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 9 * ms, Jitter: 500 * time.Microsecond, Distribution: link.Pareto, Loss: 0.0003, Rate: 200 * mbit, Queue: 2500 * kib},
		},
	},
	{
		Name:  "wifi-good",
		About: "fibre behind good Wi-Fi: near the access point, few neighbours",
		Sources: []string{
			"Sui et al., Characterizing and Improving WiFi Latency in Large-Scale Operational Networks, MobiSys 2016, doi:10.1145/2906388.2906393: 3 ms in the median on the Wi-Fi hop, about 20 ms at the 90th percentile and 250 ms at the 99th, on a campus",
			"The sources of fiber: what is behind it",
			"Round choices: 5 ms in the mean on the Wi-Fi hop, its jitter, 0.1 % of loss, the rate and the queue",
		},
		Link: both(link.Settings{Delay: 6500 * time.Microsecond, Jitter: 2 * ms, Distribution: link.Pareto, Loss: 0.001, Rate: 100 * mbit, Queue: kib * kib}),
	},
	{
		Name:  "wifi-bad",
		About: "fibre behind bad Wi-Fi: two walls away, a crowded channel",
		Sources: []string{
			"Pei et al., WiFi Can Be the Weakest Link of Round Trip Network Latency in the Wild, INFOCOM 2016: over 20 ms on the Wi-Fi hop for more than half of the packets and over 100 ms for a tenth, at 47 access points of a campus",
			"Haßlinger and Hohlfeld, The Gilbert-Elliott Model for Packet Loss in Real Time Services on the Internet, MMB 2008: that a model of two states fits bursts of loss, in traces of a backbone",
			"Høiland-Jørgensen et al., Ending the Anomaly: Achieving Low Latency and Airtime Fairness in WiFi, USENIX ATC 2017: Wi-Fi queues under load, which can be ten times shorter",
			"Round choices: 26 ms in the mean on the Wi-Fi hop; 2 % of loss, half of it in bursts of 3.3 packets; the rates, and queues of 210 ms",
		},
		Link: link.Config{
			Up:   wifiBad(10*mbit, 256*kib),
			Down: wifiBad(20*mbit, 512*kib),
		},
	},
	{
		Name:  "5g",
		About: "5G below 6 GHz in a city, standing still",
		Sources: []string{
			"Narayanan et al., A First Look at Commercial 5G Performance on Smartphones, WWW 2020, arXiv:1909.07532: little less delay than over 4G, on whose core such networks stand, and much more rate; A Variegated Look at 5G in the Wild, SIGCOMM 2021, doi:10.1145/3452296.3472923: the same by band and by kind of core",
			"Rizvi, Heidemann and Plonka, Third-Party Assessment of Mobile Performance in the 5G Era, arXiv:2507.18834, 2025: below 20 ms regularly for the best 5 % of users alone; below 50 Mbit/s for about 60 %",
			"Round choices: 28 ms there and back, as good users have it, and rates that no game fills; the jitter, the loss and the queues",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 13 * ms, Jitter: 3 * ms, Distribution: link.Pareto, Loss: 0.0005, Rate: 20 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 10 * ms, Jitter: 2 * ms, Distribution: link.Pareto, Loss: 0.0005, Rate: 100 * mbit, Queue: 2048 * kib},
		},
	},
	{
		Name:  "4g",
		About: "LTE, standing still; the radio repeats what it loses, so that loss becomes delay",
		Sources: []string{
			"Huang et al., A Close Examination of Performance and Power Characteristics of 4G LTE Networks, MobiSys 2012: 13 Mbit/s down and 6 Mbit/s up in the median",
			"Huang et al., An In-Depth Study of LTE, SIGCOMM 2013, doi:10.1145/2486001.2486006, section 4: 70 ms there and back in the median of either study, and 37 to 127 ms from the 5th to the 95th percentile of the earlier; loss hidden by repeating and by buffers, so that 0.06 % of TCP's packets were sent again in the median flow",
			"Jiang et al., Tackling Bufferbloat in 3G/4G Networks, IMC 2012, doi:10.1145/2398776.2398810: deep buffers",
			"Presets of others: 60 ms, 9 and 1.5 Mbit/s (Chrome DevTools, Fast 4G); 70 ms and 12 Mbit/s (WebPageTest, LTE)",
			"Round choices: 60 ms within these; 0.1 % of loss, the jitter and the queues",
		},
		Link: lte,
	},
	{
		Name:  "3g",
		About: "HSPA, standing still",
		Sources: []string{
			"Huang et al., An In-Depth Study of LTE, SIGCOMM 2013, doi:10.1145/2486001.2486006, table 1: 160 to 200 ms there and back in the median of four networks in 2009, and 2 to 3 Mbit/s down and 0.4 to 0.7 Mbit/s up at the 95th percentile",
			"Grigorik, High Performance Browser Networking, O'Reilly 2013, table 7-2: 100 to 500 ms, 0.5 to 5 Mbit/s",
			"Jiang et al., Tackling Bufferbloat in 3G/4G Networks, IMC 2012, doi:10.1145/2398776.2398810: deep buffers",
			"Presets of others: 150 ms, 1.6 and 0.77 Mbit/s (WebPageTest, 3G Fast)",
			"Round choices: 155 ms and the rates, of a good network; the jitter, 0.3 % of loss and the queues",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 75 * ms, Jitter: 15 * ms, Distribution: link.Pareto, Loss: 0.003, Rate: 800 * kbit, Queue: 64 * kib},
			Down: link.Settings{Delay: 55 * ms, Jitter: 10 * ms, Distribution: link.Pareto, Loss: 0.003, Rate: 3 * mbit, Queue: 256 * kib},
		},
	},
	{
		Name:  "intercontinental",
		About: "a wired player on the wrong side of an ocean",
		Sources: []string{
			"Verizon, Service Level Agreement, Network Latency Guarantees: at most 90 ms there and back between New York and London, 160 ms between Los Angeles and Tokyo and 260 ms between Singapore and the United States, as a monthly mean between hubs",
			"Martínez et al., Round Trip Time (RTT) Delay in the Internet: Analysis and Trends, arXiv:2301.07788, 2023: how far from the speed of light in fibre countries and continents are",
			"Round choices: 160 ms, access included; the jitter, 0.1 % of loss, the rates and the queues",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 80 * ms, Jitter: ms, Loss: 0.001, Rate: 40 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 80 * ms, Jitter: ms, Loss: 0.001, Rate: 100 * mbit, Queue: 1024 * kib},
		},
	},
	{
		Name:  "satellite",
		About: "satellites in low orbit: every 15 seconds a player's path is arranged anew",
		Sources: []string{
			"Michel et al., A First Look at Starlink Performance, IMC 2022, doi:10.1145/3517745.3561416: 50 ms there and back in the median and 40 to 60 ms for half of it, from Belgium to Europe; 178 Mbit/s down and 17 Mbit/s up in the median; of light traffic 0.40 % lost down and 0.45 % up, in events of which one in a hundred lasted longer than 127 ms",
			"Mohan et al., A Multifaceted Look at Starlink Performance, WWW 2024, arXiv:2310.09242: all paths arranged anew every 15 seconds, after which delay and rate are others",
			"Kassem et al., A Browser-side View of Starlink Connectivity, IMC 2022, doi:10.1145/3517745.3561457: up to half of the packets lost at times, as it seems when the satellite changes",
			"Round choices: nothing for 100 ms each time and 0.2 % of loss between, together 0.9 %, which is between what Michel and Kassem saw; the jitter and the queues",
		},
		Link: link.Config{
			Up:        link.Settings{Delay: 25 * ms, Jitter: 5 * ms, Loss: 0.002, Rate: 15 * mbit, Queue: 256 * kib},
			Down:      link.Settings{Delay: 22 * ms, Jitter: 5 * ms, Loss: 0.002, Rate: 150 * mbit, Queue: 2048 * kib},
			Blackouts: []link.Blackout{{At: 4 * time.Second, For: 100 * ms, Every: 15 * time.Second}},
		},
	},
	{
		Name:  "satellite-geo",
		About: "a satellite in geostationary orbit",
		Sources: []string{
			"RFC 2488 section 2: 239.6 to 279.0 ms one way by distance alone",
			"Michel et al., A First Look at Starlink Performance, IMC 2022, doi:10.1145/3517745.3561416: about 600 ms there and back at least, over a geostationary access with 100 and 10 Mbit/s",
			"Round choices: the jitter, the loss and the queues",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 300 * ms, Jitter: 5 * ms, Loss: 0.0005, Rate: 10 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 290 * ms, Jitter: 5 * ms, Loss: 0.0005, Rate: 100 * mbit, Queue: 4096 * kib},
		},
	},
	{
		Name:  "mobile-handover",
		About: "a phone leaves Wi-Fi: nothing for a second, then 4G, with another address",
		Sources: []string{
			"The sources of 4g: the link, which it has all the time so that the change alone shows",
			"Söderman et al., Handover in the Wild: The Feasibility of Vertical Handover in Commodity Smartphones: what a walk out of Wi-Fi's reach does to a stream",
			"Sanchez, de la Oliva and Bernardos, How Does My Smartphone Manage Network Connections?: that systems leave it to programs to notice",
			"RFC 9000 section 9: what a transport can do about the address",
			"Round choices: one second without any network; no source says how long it usually is",
		},
		Link: handover,
	},
	{
		Name:  "udp-blocked",
		About: "fibre behind a firewall that loses all UDP without a word",
		Sources: []string{
			"RFC 9308 section 2: 3 % to 5 % of networks block all UDP",
			"Langley et al., The QUIC Transport Protocol: Design and Internet-Scale Deployment, SIGCOMM 2017, doi:10.1145/3098822.3098842, section 7.2: 4.4 % of clients could not use QUIC, because it or UDP was blocked or the path took too small packets",
			"The sources of fiber: the link",
		},
		Link: link.Config{Up: fiber, Down: fiber, BlockUDP: true},
	},
}

var (
	fiber = link.Settings{Delay: 6 * ms, Jitter: 500 * time.Microsecond, Loss: 0.0001, Rate: 300 * mbit, Queue: kib * kib}
	lte   = link.Config{
		Up:   link.Settings{Delay: 29 * ms, Jitter: 6 * ms, Distribution: link.Pareto, Loss: 0.001, Rate: 6 * mbit, Queue: 256 * kib},
		Down: link.Settings{Delay: 21 * ms, Jitter: 4 * ms, Distribution: link.Pareto, Loss: 0.001, Rate: 13 * mbit, Queue: 512 * kib},
	}
	handover = link.Config{
		Up: lte.Up, Down: lte.Down,
		Blackouts:      []link.Blackout{{At: 5 * time.Second, For: time.Second}},
		AddressChanges: []time.Duration{6 * time.Second},
	}
)

func both(s link.Settings) link.Config { return link.Config{Up: s, Down: s} }

func wifiBad(rate int64, queue int) link.Settings {
	return link.Settings{
		Delay: 7 * ms, Jitter: 12 * ms, Distribution: link.Pareto,
		Loss: 0.01, Burst: link.Burst{P: 0.003, R: 0.3}, Rate: rate, Queue: queue,
	}
}
